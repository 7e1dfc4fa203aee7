from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest

from zeropan.errors import BadInput
from zeropan.request.sources import find_images, named_files


def locations(sources: list[str], **said: Any) -> list[str]:
    return list(find_images(sources, **said))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.PNG", "a.jpg", "sub/c.webp", "notes.md", ".hidden.png", ".cache/d.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(found: list[str], root: Path) -> list[str]:
    return [str(Path(path).relative_to(root)) for path in found]


def test_a_folder_is_all_images_below_it_sorted_and_nothing_hidden(folder: Path) -> None:
    assert names(locations([str(folder)]), folder) == ["a.jpg", "b.PNG", "sub/c.webp"]


def test_a_relative_source_gives_paths_that_hold_anywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for source in ("sub", "sub/*.webp", "sub/c.webp"):
        assert locations([source]) == [str(folder / "sub/c.webp")]


def test_a_glob_and_a_file_are_not_counted_twice(folder: Path) -> None:
    found = locations([str(folder / "*.jpg"), str(folder / "a.jpg"), str(folder / "**/*.webp")])
    assert names(found, folder) == ["a.jpg", "sub/c.webp"]


@pytest.mark.parametrize("place", ["images", "."])
def test_a_coco_list_finds_its_images(folder: Path, place: str) -> None:
    target = folder / place / "sub2"
    target.mkdir(parents=True)
    (target / "k.jpg").write_bytes(b"x")
    listing = folder / "instances.json"
    listing.write_text(json.dumps({"images": [{"id": 1, "file_name": "sub2/k.jpg"}]}))
    assert locations([str(listing)]) == [str(target / "k.jpg")]


def test_a_text_list_may_have_comments_and_absolute_paths(folder: Path) -> None:
    listing = folder / "list.txt"
    listing.write_text(f"# mine\na.jpg\n\n{folder / 'b.PNG'}\nmemory://bucket/x.png\n")
    found = locations([str(listing)])
    assert found == [str(folder / "a.jpg"), str(folder / "b.PNG"), "memory://bucket/x.png"]


def test_a_url_is_a_folder_a_glob_or_a_file() -> None:
    fs = fsspec.filesystem("memory")
    for name in ("p/a.png", "p/.b.png", "p/q/c.jpg", "p/readme"):
        fs.pipe_file(f"/bucket-sources/{name}", b"x")
    base = "memory:///bucket-sources/p"
    assert locations([base]) == [f"{base}/a.png", f"{base}/q/c.jpg"]
    assert locations([f"{base}/*.png"])[-1] == f"{base}/a.png"
    assert locations([f"{base}/q/c.jpg"]) == [f"{base}/q/c.jpg"]
    assert named_files([base, f"{base}/q/c.jpg"]) == [f"{base}/q/c.jpg"]


def test_the_order_is_random_but_the_same_for_a_seed(folder: Path) -> None:
    for number in range(30):
        (folder / f"{number:02}.png").write_bytes(b"x")
    sorted_, first, again, other = (
        locations([str(folder)], shuffle_seed=seed) for seed in (None, 1, 1, 2)
    )
    assert first == again and first != sorted_ and first != other
    assert sorted(first) == sorted(other) == sorted_
    assert locations([str(folder)], shuffle_seed=1, limit=5) == first[:5]


@pytest.mark.parametrize("source", ["", "nothing-*.png", "list.json", "list.txt"])
def test_a_source_without_images_is_one_sentence(tmp_path: Path, source: str) -> None:
    (tmp_path / "list.json").write_text('{"images": []}')
    (tmp_path / "list.txt").write_text("# none\n")
    with pytest.raises(BadInput, match=r"holds no .*; check the path"):
        locations([str(tmp_path / source)])


def test_a_json_that_is_no_image_list_says_so(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(BadInput, match="is no COCO image list"):
        locations([str(tmp_path / "list.json")])


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput, match="environment") as caught:
        locations(["s3://me:secret@bucket/x"])
    assert "secret" not in str(caught.value)
