"""What can be evaluated: rendered scenes, whose truth is exact."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluation.truth import GroundTruth
from segmentation.categories import Categories
from segmentation.errors import BadInput


@dataclass(frozen=True)
class Source:
    """Images with their truth; a truth is read or rendered when it is asked for."""

    name: str
    categories: Categories
    locations: list[str]
    truth: Callable[[int], GroundTruth]
    """The truth of the n-th image."""


def open_source(dataset: str, home: Path, *, limit: int | None, render: bool = True) -> Source:
    """Open a data set by what the user calls it.

    Args:
        dataset: scenes:N or scenes:SEED0-SEED1.
        home: rendered scenes are kept below it.
        limit: only the first so many images.
        render: write the files of rendered scenes that are not there yet.

    Raises:
        BadInput: it is neither.
    """
    return _scenes(dataset, home, limit, render)


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

    from flows.outputs import png_bytes, write_whole
    from scenes.render import render_scene
    from scenes.truth import panoptic_of
    from scenes.vocabulary import STUFF, THINGS

    seeds = list(scene_range(dataset))[:limit]
    categories = Categories.from_words(THINGS, STUFF)
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
