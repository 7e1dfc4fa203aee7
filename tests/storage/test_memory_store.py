"""The store in memory, against what stages ask of any store."""

from __future__ import annotations

import numpy as np
import pytest

from zeropan.errors import ArtifactMissing
from zeropan.segmentation.records import Panoptic, StuffRegions
from zeropan.storage.keys import artifact_key
from zeropan.storage.memory import MemoryStore
from zeropan.tasks.reuse import Shelf

KEY = artifact_key("panoptic", version=1, inputs={})
EMPTY = Panoptic(np.zeros((2, 3), np.int32), ())


def test_a_record_is_kept_as_it_is_and_the_first_one_stays() -> None:
    store = MemoryStore()
    shelf: Shelf = store
    assert shelf.find(KEY) is None and not shelf.is_marked(KEY) and KEY not in store
    ref = shelf.write(KEY, EMPTY, provenance={"seconds": 1})
    other = Panoptic(np.zeros((5, 5), np.int32), ())
    assert shelf.write(KEY, other, provenance={}) == ref
    assert shelf.read(KEY, Panoptic) is EMPTY
    found = shelf.find(KEY)
    assert found is not None and found.provenance == {"seconds": 1}
    shelf.write(KEY, other, provenance={}, replace=True)
    assert shelf.read(KEY, Panoptic) is other
    with shelf.lease(KEY) as ours:
        assert ours


def test_a_copy_shares_records_and_goes_its_own_way() -> None:
    store = MemoryStore()
    store.write(KEY, EMPTY, provenance={})
    copy = store.copy()
    second = artifact_key("panoptic", version=2, inputs={})
    copy.write(second, EMPTY, provenance={})
    assert copy.read(KEY, Panoptic) is EMPTY
    assert second not in store


def test_what_is_not_there_or_of_another_kind_is_one_sentence() -> None:
    store = MemoryStore()
    with pytest.raises(ArtifactMissing, match="no Panoptic is kept under"):
        store.read(KEY, Panoptic)
    store.write(KEY, EMPTY, provenance={})
    with pytest.raises(ArtifactMissing, match="no StuffRegions"):
        store.read(KEY, StuffRegions)
