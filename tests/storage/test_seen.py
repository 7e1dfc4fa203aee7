from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zeropan.storage.seen import SETTLED_S, SeenImages, fingerprint, mark_of

SHA = "ab" * 32


def settled(path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a file and look at it a little later; its fingerprint."""
    path.write_bytes(data)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * SETTLED_S)
    mark = fingerprint(str(path))
    monkeypatch.undo()
    assert mark is not None
    return mark


def test_a_file_that_has_just_changed_has_no_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    assert fingerprint(str(path)) is None
    # A copy that keeps its source's time is just as new.
    os.utime(path, (1, 1))
    assert fingerprint(str(path)) is None


def test_a_fingerprint_changes_with_the_bytes_even_where_size_and_time_are_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    first = settled(path, b"abc", monkeypatch)
    before = path.stat()
    time.sleep(0.02)
    second = settled(path, b"xyz", monkeypatch)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * SETTLED_S)
    assert len({first, second, fingerprint(str(path))}) == 3


def test_what_is_gone_or_unknown_has_none(tmp_path: Path) -> None:
    assert fingerprint(str(tmp_path / "none.png")) is None
    assert fingerprint("nonsense://x/y.png") is None
    assert fingerprint("memory://nowhere/y.png") is None


@pytest.mark.parametrize(
    ("about", "known"),
    [
        ({"size": 3, "ETag": '"9a"'}, True),
        ({"size": 3, "generation": "17"}, True),
        ({"size": 3, "ETag": 'W/"9a"'}, False),
        ({"size": 3, "ETag": "", "LastModified": "today"}, False),
        ({"size": 3}, False),
    ],
)
def test_only_what_stands_for_bytes_is_a_mark(about: dict[str, object], known: bool) -> None:
    assert (mark_of(about) is not None) is known


def test_a_digest_is_known_under_its_fingerprint_alone(tmp_path: Path) -> None:
    seen = SeenImages(tmp_path / "new" / "seen.db")
    assert seen.digest("a.png", "1-2") is None
    seen.remember([("a.png", "1-2", SHA), ("b.png", "1-2", "cd" * 32)])
    assert seen.digest("a.png", "1-2") == SHA
    assert seen.digest("a.png", "1-3") is None
    assert seen.digest("a.png", None) is None
    seen.remember([("a.png", "1-3", "ef" * 32)])
    assert seen.digest("a.png", "1-2") is None
    assert seen.digest("a.png", "1-3") == "ef" * 32


def test_no_address_is_in_the_file(tmp_path: Path) -> None:
    seen = SeenImages(tmp_path / "seen.db")
    seen.remember([("https://host/a.png?signature=hidden", "1-2", SHA)])
    data = (tmp_path / "seen.db").read_bytes()
    assert b"hidden" not in data and b"host" not in data


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    path.write_bytes(b"no database at all" * 100)
    seen = SeenImages(path)
    assert seen.digest("a.png", "1-2") is None
    seen.remember([("a.png", "1-2", SHA)])
    seen.remember([("a.png", "1-2", SHA)])
    assert seen.digest("a.png", "1-2") == SHA


def test_several_may_write_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: SeenImages(path).remember([(f"{n}", "1", SHA)]), range(64)))
    assert all(SeenImages(path).digest(f"{n}", "1") == SHA for n in range(64))
