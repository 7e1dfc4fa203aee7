"""How much a store holds, and how it is kept from holding more."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from zeropan.segmentation.records import Panoptic
from zeropan.storage.keys import ArtifactKey, artifact_key
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import bytes_by_stage, entries, prune, usage, verify

STAGES = ("embed_image", "things", "panoptic")
FIRST = ("embed_image",)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    memory = f"memory://{uuid.uuid4().hex}"
    return ArtifactStore(str(tmp_path) if request.param == "local" else memory)


@pytest.fixture
def keys(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> list[ArtifactKey]:
    """Two images, the older first; of each an artifact a stage, the last stage's the oldest."""
    found = []
    for image in range(2):
        for stage in STAGES:
            key = artifact_key(stage, version=1, inputs={"image": image})
            empty = Panoptic(np.zeros((9, 9), np.int32), ())
            store.write(key, empty, provenance={"image_sha256": f"{image}" * 64})
            found.append(key)
    # Markers are made within the same second: give each a time of its own.
    ages = {key: f"2026-01-0{place + 1}T00:00:00+00:00" for place, key in enumerate(found)}
    marker = ArtifactStore.marker

    def dated(self: ArtifactStore, key: ArtifactKey) -> object:
        seen = marker(self, key)
        object.__setattr__(seen, "created", ages[key])
        return seen

    monkeypatch.setattr(ArtifactStore, "marker", dated)
    return found


def left(store: ArtifactStore) -> list[ArtifactKey]:
    return [artifact.key for artifact in entries(store)]


def test_bytes_are_told_by_image_and_stage(store: ArtifactStore, keys: list[ArtifactKey]) -> None:
    used = usage(entries(store))
    assert set(used) == {(f"{image}" * 64, stage) for image in range(2) for stage in STAGES}
    assert sum(used.values()) == sum(artifact.bytes for artifact in entries(store))
    assert bytes_by_stage(store) == {
        stage: used["0" * 64, stage] + used["1" * 64, stage] for stage in STAGES
    }


def test_the_oldest_perception_goes_first(store: ArtifactStore, keys: list[ArtifactKey]) -> None:
    sizes = {artifact.key: artifact.bytes for artifact in entries(store)}
    total = sum(sizes.values())
    order = [keys[0], keys[3], keys[1], keys[2], keys[4], keys[5]]
    for gone in range(len(order) + 1):
        rest = total - sum(sizes[key] for key in order[:gone])
        report = prune(store, max_bytes=rest, first=FIRST, dry_run=True)
        assert report.expired == order[:gone]
        assert report.freed_bytes == total - rest
    report = prune(store, max_bytes=total - 1, first=FIRST)
    assert report.expired == [keys[0]]
    assert left(store) == sorted(set(keys) - {keys[0]})
    assert {check.status for check in verify(store)} == {"ok"}


def test_what_is_to_be_kept_stays_whatever_the_limit(
    store: ArtifactStore, keys: list[ArtifactKey]
) -> None:
    keep = {keys[0], keys[5]}
    report = prune(store, max_bytes=0, first=FIRST, keep=keep, older_than_s=1.0)
    assert set(report.expired) == set(keys) - keep
    assert left(store) == sorted(keep)


def test_without_a_limit_nothing_goes_for_its_size(
    store: ArtifactStore, keys: list[ArtifactKey]
) -> None:
    assert prune(store, grace_s=0).expired == []
    assert left(store) == sorted(keys)
