"""Pictures that are drawn once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from zeropan.pictures.cache import PictureCache
from zeropan.tracking.image_files import encoded

PICTURE = encoded(np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8))


def test_a_picture_is_found_by_all_its_parts(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path / "pictures")
    assert cache.get("overlay", "abc") is None
    cache.put(PICTURE, "overlay", "abc")
    assert cache.get("overlay", "abc") == PICTURE
    assert cache.get("overlay", "abd") is None
    assert cache.get("overlayabc") is None


def test_an_encoded_picture_is_both_files(tmp_path: Path) -> None:
    assert PICTURE.whole
    (tmp_path / "a.png").write_bytes(PICTURE.png)
    (tmp_path / "a.webp").write_bytes(PICTURE.thumbnail)
    with Image.open(tmp_path / "a.png") as full, Image.open(tmp_path / "a.webp") as small:
        assert full.size == (120, 80) == small.size


def test_a_picture_that_was_cut_off_is_drawn_again(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path)
    cache.put(PICTURE, "x")
    (png,) = tmp_path.glob("*.png")
    png.write_bytes(PICTURE.png[:-20])
    assert cache.get("x") is None
    cache.put(PICTURE, "x")
    assert cache.get("x") == PICTURE
    (thumbnail,) = tmp_path.glob("*.webp")
    thumbnail.write_bytes(PICTURE.thumbnail[:-1])
    assert cache.get("x") is None
    assert not list(tmp_path.glob(".*"))


def test_the_longest_unused_pictures_go_first(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path, limit_bytes=3 * len(PICTURE.png))
    for age, name in enumerate(["d", "c", "b", "a"]):
        cache.put(PICTURE, name)
        newest = max(tmp_path.glob("*.png"), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest, (1000 + age, 1000 + age))
    assert cache.get("d") == PICTURE  # asked for just now, so it is no longer the oldest
    cache.trim()
    assert [cache.get(name) is not None for name in "abcd"] == [True, True, False, True]
    assert len(list(tmp_path.iterdir())) == 6


def test_a_folder_that_cannot_be_made_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = PictureCache(tmp_path / "file" / "pictures")
    cache.put(PICTURE, "x")
    cache.trim()
    assert cache.get("x") is None
