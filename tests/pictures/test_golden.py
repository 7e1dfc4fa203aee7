"""Every picture of a run against one that a person has looked at.

After a change that is meant: ZEROPAN_RENEW_GOLDEN=1 python -m pytest tests/pictures/test_golden.py,
look at what `git diff` shows of tests/golden, and commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pictures.test_pictures import CATEGORIES, scene
from zeropan.evaluation.comparison import changed_pixels, compare
from zeropan.pictures.difference import Differences, difference
from zeropan.pictures.panels import PANELS, overlay, panels, side_by_side
from zeropan.segmentation.records import Panoptic, UInt8

GOLDEN = Path(__file__).parents[1] / "golden"
RENEW = bool(os.environ.get("ZEROPAN_RENEW_GOLDEN"))


def comparison() -> UInt8:
    """The scene's result beside one that lost its thing."""
    steps = scene()
    before = steps.panoptic
    labels = np.where(before.label_map == 1, 0, before.label_map).astype(np.int32)
    after = Panoptic(labels, before.segments_info[1:])
    found = compare(before, after)
    differs = Differences(
        lost=[segment.id for segment in found.lost],
        gained=[segment.id for segment in found.gained],
        relabelled=[],
        changed=changed_pixels(before, after, found),
    )
    drawn = difference(steps.image, before, after, differs, CATEGORIES)
    return side_by_side([("A", overlay(steps.image, before, CATEGORIES)), ("difference", drawn)])


def drawn(name: str) -> UInt8:
    return comparison() if name == "comparison" else panels(scene(), [name])[name]


@pytest.mark.parametrize("name", [*PANELS, "comparison"])
def test_a_picture_is_the_one_that_was_looked_at(name: str) -> None:
    path = GOLDEN / f"{name.removeprefix('panels/').replace(' ', '-')}.png"
    picture = drawn(name)
    if RENEW:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    with Image.open(path) as file:
        golden = np.asarray(file.convert("RGB")).astype(int)
    assert picture.shape == golden.shape
    # Few colours are kept in the file, and letters are smoothed a little otherwise elsewhere.
    apart = np.abs(picture.astype(int) - golden).max(axis=2)
    assert float((apart > 48).mean()) < 0.005
    assert float(apart.mean()) < 4
