"""What can be evaluated: COCO-panoptic data sets, and rendered scenes, whose truth is exact."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeropan.errors import BadInput
from zeropan.evaluation.coco_dataset import CocoDataset, open_coco_dataset
from zeropan.evaluation.truth import GroundTruth
from zeropan.request.inputs import refuse_passwords
from zeropan.segmentation.categories import Categories


@dataclass(frozen=True)
class Source:
    """Images with their truth; a truth is read or rendered when it is asked for."""

    name: str
    categories: Categories
    """Canonical, as results are: their ids are those of the truth."""
    locations: list[str]
    truth: Callable[[int], GroundTruth]
    """The truth of the n-th image."""


def open_source(
    dataset: str,
    home: Path,
    *,
    images: str | None = None,
    panoptic: str | None = None,
    limit: int | None = None,
    render: bool = True,
) -> Source:
    """Open a data set by what the user calls it.

    Args:
        dataset: scenes:N or scenes:SEED0-SEED1, a COCO-panoptic JSON, or a folder with one below
            annotations/.
        home: rendered scenes are kept below it.
        images: folder or fsspec URL of a COCO data set's images.
        panoptic: folder of its panoptic PNGs.
        limit: only the first so many images.
        render: write the files of rendered scenes that are not there yet.

    Raises:
        BadInput: it is none of these, or its files do not fit each other.
    """
    refuse_passwords([place for place in (images,) if place])
    if dataset.startswith("scenes:"):
        if images or panoptic:
            raise BadInput(f"{dataset!r} has its own images and truth; leave --images and such out")
        return _scenes(dataset, home, limit, render)
    path = Path(dataset)
    if path.is_dir():
        return _coco(_json_of(path), images, panoptic, limit)
    if path.is_file():
        return _coco(path, images, panoptic, limit)
    raise BadInput(
        f"{dataset!r} names no data set; write scenes:N, scenes:SEED0-SEED1, or the path of a "
        "COCO-panoptic JSON or of a folder that holds one"
    )


def is_dataset(sources: Sequence[str]) -> bool:
    """Whether what the user names is a data set with truth, rather than images."""
    if len(sources) != 1:
        return False
    source = sources[0]
    return source.startswith("scenes:") or source.endswith(".json") or Path(source).is_dir()


def scene_range(dataset: str) -> range:
    """The seeds of "scenes:N" (the first N) or of "scenes:SEED0-SEED1" (both included).

    Raises:
        BadInput: it has another form, or holds no seed.
    """
    match = re.fullmatch(r"scenes:(\d{1,9})(?:-(\d{1,9}))?", dataset)
    if match is None:
        raise BadInput(f"{dataset!r} names no data set; write scenes:N or scenes:SEED0-SEED1")
    first, last = match.groups()
    seeds = range(int(first)) if last is None else range(int(first), int(last) + 1)
    if not seeds:
        raise BadInput(f"{dataset!r} holds no scene; write a larger last seed")
    return seeds


def _scenes(dataset: str, home: Path, limit: int | None, render: bool) -> Source:
    from zeropan.machine.files import write_whole
    from zeropan.pictures.encoding import png_bytes
    from zeropan.scenes.render import render_scene
    from zeropan.scenes.truth import panoptic_of
    from zeropan.scenes.vocabulary import STUFF, THINGS

    seeds = list(scene_range(dataset))[:limit]
    categories = Categories.from_words(THINGS, STUFF).canonical
    folder = home / "scenes"
    paths = [folder / f"scene-{seed:06d}.png" for seed in seeds]
    if render:
        folder.mkdir(parents=True, exist_ok=True)
        for seed, path in zip(seeds, paths, strict=True):
            if not path.exists():
                write_whole(path, png_bytes(render_scene(seed).image))
    return Source(
        name=dataset,
        categories=categories,
        locations=[str(path) for path in paths],
        truth=lambda number: GroundTruth.of(panoptic_of(render_scene(seeds[number]), categories)),
    )


def _coco(json_path: Path, images: str | None, panoptic: str | None, limit: int | None) -> Source:
    dataset = open_coco_dataset(json_path, Path(panoptic) if panoptic else None)
    names = dataset.file_names[:limit]
    folder = images.rstrip("/") if images else str(_image_folder(dataset, names[0]))
    return Source(
        name=str(json_path),
        categories=dataset.categories,
        locations=[f"{folder}/{name}" for name in names],
        truth=dataset.truth,
    )


def _json_of(folder: Path) -> Path:
    """The one panoptic JSON of a data set's folder."""
    found = sorted([*folder.glob("annotations/panoptic*.json"), *folder.glob("panoptic*.json")])
    if len(found) == 1:
        return found[0]
    shown = ", ".join(str(path.relative_to(folder)) for path in found[:5])
    raise BadInput(
        f"{folder} holds several panoptic JSON files ({shown}); name one of them"
        if found
        else f"{folder} holds no annotations/panoptic*.json; name a COCO-panoptic data set"
    )


def _image_folder(dataset: CocoDataset, name: str) -> Path:
    """Where a data set's images are: images/, or COCO's own val2017/ for panoptic_val2017.json."""
    split = dataset.json_path.stem.removeprefix("panoptic_")
    roots = [dataset.json_path.parent, dataset.json_path.parent.parent]
    for folder in [root / sub for root in roots for sub in ("images", split, f"images/{split}")]:
        # Its panoptic PNGs may bear the very names of the images.
        if folder != dataset.png_folder and (folder / name).is_file():
            return folder
    raise BadInput(
        f"{name}, the first image of {dataset.json_path}, is in none of the usual folders beside "
        "it; name the folder of images with --images"
    )
