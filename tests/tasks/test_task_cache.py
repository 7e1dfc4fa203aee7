"""Prefect's hint and the store: a hint is refused unless the store holds the whole artifact."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.states import Completed, Failed

from zeropan.errors import ArtifactMissing, BadImage, StoreError, TransientError
from zeropan.segmentation.records import StuffRegions
from zeropan.storage.keys import artifact_key
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.cache import StageOutcomeSerializer, is_transient
from zeropan.tasks.steps import things


@pytest.fixture
def hint(tmp_path: Path) -> dict[str, Any]:
    ref = ArtifactStore(str(tmp_path)).write(
        artifact_key("stuff_regions", version=1, inputs={}),
        StuffRegions(np.ones((4, 4), np.int32), np.ones((4, 4), np.float16)),
        provenance={},
    )
    return {**asdict(ref), "how": "computed", "seconds": 1.0, "result": {}}


def test_a_hint_to_a_whole_artifact_is_taken(tmp_path: Path, hint: dict[str, Any]) -> None:
    serializer = StageOutcomeSerializer(store_url=str(tmp_path))
    assert serializer.loads(serializer.dumps(hint)) == hint


@pytest.mark.parametrize("fault", ["marker gone", "chunk changed", "another manifest", "no store"])
def test_any_other_hint_is_refused(tmp_path: Path, hint: dict[str, Any], fault: str) -> None:
    serializer = StageOutcomeSerializer(store_url=str(tmp_path))
    blob = serializer.dumps(hint)
    if fault == "marker gone":
        next(tmp_path.rglob(f"{hint['digest']}.json")).unlink()
    if fault == "chunk changed":
        next(tmp_path.rglob("label_map/c/0/0")).write_bytes(b"changed")
    if fault == "another manifest":
        blob = serializer.dumps(hint | {"manifest_sha256": "0" * 64})
    if fault == "no store":
        serializer = StageOutcomeSerializer(store_url=str(tmp_path / "elsewhere"))
    with pytest.raises(ArtifactMissing, match="computed again"):
        serializer.loads(blob)


def test_a_stored_failure_is_never_taken_for_a_result(tmp_path: Path) -> None:
    serializer = StageOutcomeSerializer(store_url=str(tmp_path))
    with pytest.raises(ArtifactMissing, match="BadImage"):
        serializer.loads(serializer.dumps(BadImage("broken")))


@pytest.mark.parametrize(
    "error, again",
    [
        (TransientError("busy"), True),
        (ArtifactMissing("gone"), True),
        (TimeoutError(), True),
        (BadImage("broken"), False),
        (StoreError("disk full"), False),
        (ValueError("a fault of ours"), False),
    ],
)
def test_only_transient_faults_are_tried_again(error: Exception, again: bool) -> None:
    assert is_transient(things, None, Failed(data=error)) is again  # type: ignore[arg-type]


def test_success_is_not_tried_again() -> None:
    assert not is_transient(things, None, Completed(data={}))  # type: ignore[arg-type]
