"""Measure a text segmenter's coarse regions on held-out scenes.

    python -m training.text_segmenter.evaluate --model zeropan/models/weights/tiny/clipseg

For every scene all five words for stuff are asked, also those that are not in it. A word that is
in it gets two intersections over union, the pixels of things left out: that of the region where it
is the best word and above the background threshold, as the pipeline decides, and that of its own
probability above one half.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch.nn import functional

from zeropan.models.clipseg.adapter import ClipSegSegmenter
from zeropan.models.protocols import CoarseTextSegmenter
from zeropan.scenes.render import render_scene
from zeropan.scenes.scene import Scene
from zeropan.scenes.vocabulary import STUFF, THINGS, category_id

logger = logging.getLogger(__name__)

HELD_OUT_SEEDS = range(100)
THRESHOLDS = (0.1, 0.3, 0.5)
# None of these is in the list of unknown words that the model was trained to reject.
NEW_WORDS = ("carpet", "ocean", "rabbit", "guitar", "umbrella", "asphalt")


def evaluate(
    segmenter: CoarseTextSegmenter, seeds: Iterable[int], *, height: int = 256, width: int = 256
) -> dict[str, float]:
    """Mean values over words and scenes.

    Returns:
        iou/best-<threshold>: by the best word above the threshold; iou/own: by the word's own
        probability above one half; iou/best-0.3/<word>: of one word; area/absent: share of the
        stuff where a word that is not in the scene has a probability above 0.3; area/new: share
        of the picture where a word that is in no scene has; seconds/image.
    """
    values: dict[str, list[float]] = {}
    for seed in seeds:
        scene = render_scene(seed, height=height, width=width)
        started = time.perf_counter()
        record = segmenter.score(scene.image, (*STUFF, *NEW_WORDS))
        values.setdefault("seconds/image", []).append(time.perf_counter() - started)
        grid = torch.from_numpy(np.array(record.logits))
        logits = functional.interpolate(grid[None], size=record.image_size, mode="bilinear")[0]
        scores = logits.sigmoid().numpy()
        for name, value in _scene_values(scene, scores):
            values.setdefault(name, []).append(value)
    return {name: fmean(found) for name, found in sorted(values.items())}


def _scene_values(scene: Scene, scores: np.ndarray) -> Iterable[tuple[str, float]]:
    """Names and values of one scene; scores are float32 (5 + new words, H, W)."""
    numbers = np.zeros(int(scene.label_map.max()) + 1, dtype=np.int32)
    for segment in scene.segments:
        numbers[segment.id] = category_id(segment.name)
    categories = numbers[scene.label_map]
    is_stuff = categories > len(THINGS)
    stuff = scores[: len(STUFF)]
    best, choice = stuff.max(axis=0), stuff.argmax(axis=0)
    yield "area/new", float((scores[len(STUFF) :] > 0.3).mean())
    for index, name in enumerate(STUFF):
        truth = categories == category_id(name)
        if not truth.any():
            yield "area/absent", float((stuff[index] > 0.3)[is_stuff].mean())
            continue
        for threshold in THRESHOLDS:
            found = (choice == index) & (best > threshold) & is_stuff
            iou = float((found & truth).sum() / (found | truth).sum())
            yield f"iou/best-{threshold}", iou
            if threshold == 0.3:
                yield f"iou/best-0.3/{name}", iou
        own = (stuff[index] > 0.5) & is_stuff
        yield "iou/own", float((own & truth).sum() / (own | truth).sum())


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: log the values, and write them as JSON where a file is given."""
    parser = argparse.ArgumentParser(description="Measure a text segmenter on held-out scenes.")
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    parser.add_argument("--scenes", type=int, default=len(HELD_OUT_SEEDS))
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    segmenter = ClipSegSegmenter.load(given.model)
    values = evaluate(
        segmenter, HELD_OUT_SEEDS[: given.scenes], height=given.height, width=given.width
    )
    for name, value in values.items():
        logger.info("%-28s %.4f", name, value)
    if given.json is not None:
        # Times depend on the machine and its load; the file holds what does not.
        kept = {name: round(value, 4) for name, value in values.items() if "seconds" not in name}
        given.json.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
