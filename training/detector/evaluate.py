"""AP50 of the tiny detector on held-out scenes.

python -m training.detector.evaluate --model DIR [--scenes 100]
"""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.common import set_up_process
from zeropan.models.grounding_dino.adapter import GroundingDinoDetector
from zeropan.scenes.render import render_scene
from zeropan.scenes.scene import Scene
from zeropan.scenes.vocabulary import COLOURED_THINGS, COLOURS, THINGS
from zeropan.segmentation.config import ThingsConfig
from zeropan.segmentation.nms import iou_with_all, suppress_duplicates
from zeropan.segmentation.token_scores import score_prompts

logger = logging.getLogger(__name__)

Prompts = Callable[[Scene], tuple[list[str], Callable[[Any], str]]]
Row = tuple[float, bool]


def every_word(scene: Scene) -> tuple[list[str], Callable[[Any], str]]:
    """All twelve names, present or not."""
    return list(THINGS), lambda segment: str(segment.name)


def phrases_and_distractors(scene: Scene) -> tuple[list[str], Callable[[Any], str]]:
    """The phrases that are present, such as "red cup", and four that are not."""
    present = sorted({segment.phrase for segment in scene.segments if segment.isthing})
    every = [f"{colour} {name}" for colour in COLOURS for name in COLOURED_THINGS]
    every += [name for name in THINGS if name not in COLOURED_THINGS]
    absent = [phrase for phrase in every if phrase not in present]
    chosen = np.random.default_rng(scene.seed).choice(absent, 4, replace=False).tolist()
    return present + chosen, lambda segment: str(segment.phrase)


def average_precision(rows: Sequence[Row], truths: int) -> float:
    """Area under the precision-recall curve, all points; rows are (score, hit)."""
    if truths == 0 or not rows:
        return 0.0
    ordered = sorted(rows, key=lambda row: -row[0])
    hits = np.cumsum([hit for _, hit in ordered])
    precision = hits / np.arange(1, len(ordered) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    recall = np.concatenate([[0.0], hits / truths])
    return float(np.sum(np.diff(recall) * envelope))


def evaluate(
    detector: GroundingDinoDetector, scenes: Iterable[Scene], prompts: Prompts, *, least_iou: float
) -> dict[str, float]:
    """AP of each word at one IoU; "mean" is over the words that occur."""
    rows: dict[str, list[Row]] = defaultdict(list)
    truths: dict[str, int] = defaultdict(int)
    config = ThingsConfig(token_score="mean", text_threshold=0.0)
    for scene in scenes:
        words, word_of = prompts(scene)
        grounded = detector.ground(scene.image, words)
        boxes = grounded.boxes_xyxy.reshape(-1, 4)
        scores = score_prompts(grounded, config)
        wanted: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        for segment in scene.segments:
            if segment.isthing:
                wanted[word_of(segment)].append(np.array(segment.bbox_xyxy, np.float32))
        for number, word in enumerate(words):
            truths[word] += len(wanted[word])
            rows[word] += _hits(boxes, scores[:, number], wanted[word], least_iou)
    found = {word: average_precision(rows[word], truths[word]) for word in rows if truths[word]}
    return found | {"mean": float(np.mean(list(found.values())))}


def _hits(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    wanted: list[NDArray[np.float32]],
    least_iou: float,
) -> list[Row]:
    order = np.argsort(-scores, kind="stable")
    kept = order[suppress_duplicates(boxes[order], max_iou=0.7, max_count=100)]
    free = list(wanted)
    rows = []
    for index in kept:
        best, place = 0.0, -1
        if free:
            overlap = iou_with_all(boxes[index], np.stack(free))
            place = int(overlap.argmax())
            best = float(overlap[place])
        hit = best >= least_iou
        if hit:
            free.pop(place)
        rows.append((float(scores[index]), hit))
    return rows


def main() -> None:
    """Log AP50 for both ways of asking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=Path("zeropan/models/weights/tiny/grounding_dino")
    )
    parser.add_argument("--scenes", type=int, default=100)
    given = parser.parse_args()
    set_up_process(seed=0, threads=1)
    detector = GroundingDinoDetector.load(given.model)
    scenes = [render_scene(seed) for seed in range(given.scenes)]
    asked: dict[str, Prompts] = {
        "every word": every_word,
        "phrases and 4 distractors": phrases_and_distractors,
    }
    for title, prompts in asked.items():
        found = evaluate(detector, scenes, prompts, least_iou=0.5)
        logger.info("%s: AP50 %.3f over %d words", title, found["mean"], len(found) - 1)
        if title == "every word":
            logger.info(" ".join(f"{word} {value:.2f}" for word, value in sorted(found.items())))


if __name__ == "__main__":
    main()
