from __future__ import annotations

from pathlib import Path

from zeropan.storage.failures import FailureList
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.store import ArtifactStore, key_of
from zeropan.storage.upkeep import prune, verify


def test_a_failure_is_remembered_for_its_request_until_it_is_dropped(tmp_path: Path) -> None:
    mine, other = FailureList(str(tmp_path), "a" * 32), FailureList(str(tmp_path), "b" * 32)
    mine.add("/photos/寿司 1.png", "is empty", "BadImage")
    mine.add("/photos/寿司 1.png", "is damaged", "BadImage")
    other.add("s3://bucket/x.png", "gone", "BadImage")
    assert [(one.location, one.reason) for one in mine] == [("/photos/寿司 1.png", "is damaged")]
    mine.drop(["/photos/寿司 1.png", "/photos/other.png"])
    mine.drop(["/photos/寿司 1.png"])
    assert list(mine) == []
    assert [one.kind for one in other] == ["BadImage"]


def test_a_torn_note_is_left_out(tmp_path: Path) -> None:
    failures = FailureList(str(tmp_path), "a" * 32)
    failures.add("x", "y", "z")
    (path,) = (tmp_path / ".failures").rglob("*.json")
    path.write_bytes(path.read_bytes()[:10])
    assert list(failures) == []


def test_notes_are_no_artifacts(tmp_path: Path) -> None:
    FailureList(str(tmp_path), "a" * 32).add("x", "y", "z")
    store = ArtifactStore(str(tmp_path))
    assert list(store.markers()) == []
    assert list(verify(store)) == []
    prune(store, grace_s=0)
    assert len(list(FailureList(str(tmp_path), "a" * 32))) == 1
    assert key_of(".failures/" + "a" * 32 + ".json") is None
    assert ArtifactKey("failures", "a" * 32)  # Such a stage could be; the dot keeps them apart.
