"""The four steps together: any image, any words, and rendered scenes with a perfect perception."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.segmentation.plain_prompter import PlainPrompter, embed_plainly
from zeropan.choices import Method
from zeropan.evaluation.panoptic_quality import PanopticQuality, QualityReport
from zeropan.evaluation.truth import GroundTruth
from zeropan.scenes.render import render_scene
from zeropan.scenes.scene import Scene
from zeropan.scenes.truth import panoptic_of
from zeropan.scenes.vocabulary import STUFF, THINGS
from zeropan.segmentation.asked import Asked
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import METHOD_NAMES, METHODS, PipelineConfig
from zeropan.segmentation.pipeline import Perception, run_steps
from zeropan.segmentation.prompting import MaskPredictions, MaskPrompter
from zeropan.segmentation.records import (
    Float32,
    GroundedBoxes,
    ImageEmbedding,
    Panoptic,
    StuffLogits,
    UInt8,
)


def run(
    grounded: GroundedBoxes,
    logits: StuffLogits,
    embedding: ImageEmbedding,
    categories: Categories,
    config: PipelineConfig,
    segmenter: MaskPrompter,
) -> Panoptic:
    """The four steps; the words are in canonical order already."""
    perception = Perception(embedding, grounded, logits)
    return run_steps(perception, Asked(categories, config, "image"), segmenter).panoptic


def grounded_of(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    prompts: Sequence[str],
    size: tuple[int, int],
) -> GroundedBoxes:
    """One caption in which every prompt is one token; none if there are no prompts."""
    passes = 1 if prompts else 0
    tokens = np.arange(len(prompts), dtype=np.int32)
    return GroundedBoxes(
        boxes.astype(np.float32)[None][:passes],
        scores.astype(np.float32)[None][:passes],
        tokens[None][:passes],
        tuple(prompts),
        size,
    )


SIZES = st.one_of(
    st.sampled_from([(1, 1), (1, 60), (60, 1), (37, 20), (20, 37), (120, 9)]),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
WORDS = st.sampled_from([[], ["a"], ["a", "b"]])


@given(SIZES, WORDS, WORDS, st.integers(0, 8), st.sampled_from(METHOD_NAMES), st.integers(0, 999))
def test_any_image_and_any_words_in_any_order_of_queries(
    size: tuple[int, int],
    thing_words: list[str],
    stuff_words: list[str],
    count: int,
    method: Method,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    categories = Categories.from_words(
        [f"thing {word}" for word in thing_words], [f"stuff {word}" for word in stuff_words]
    )
    image: UInt8 = np.repeat(rng.integers(0, 3, (*size, 1), dtype=np.uint8), 3, axis=2)
    limits = np.array([size[1], size[0]] * 2)
    # Some boxes have no area, some reach out of the image, some cover it all.
    boxes = np.sort(rng.uniform(-0.2, 1.2, (count, 2, 2)), axis=1).reshape(count, 4) * limits
    boxes[rng.random(count) < 0.1] = [0, 0, *limits[:2]]
    boxes[rng.random(count) < 0.1, 2] = 0
    # Few values, so that scores are often equal.
    scores = rng.integers(0, 5, (count, len(categories.thing_prompts))) / 5
    logits = StuffLogits(
        rng.normal(scale=4, size=(len(categories.stuff_prompts), 3, 4)).astype(np.float32),
        categories.stuff_prompts,
        size,
    )
    results = [
        run(
            grounded_of(boxes[order], scores[order], categories.thing_prompts, size),
            logits,
            embed_plainly(image),
            categories,
            METHODS[method],
            PlainPrompter(),
        )
        for order in (np.arange(count), rng.permutation(count))
    ]
    assert results[0].label_map.shape == size
    np.testing.assert_array_equal(results[0].label_map, results[1].label_map)
    assert results[0].segments_info == results[1].segments_info
    if not thing_words:
        assert not any(segment.isthing for segment in results[0].segments_info)
    if not stuff_words:
        assert all(segment.isthing for segment in results[0].segments_info)


class ScenePrompter:
    """Knows a rendered scene: answers boxes and points with its exact segments.

    A box is answered by the thing whose own box fits best; points by every segment that at least
    a quarter of them hit, or failing that the one hit most often.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def masks_from_boxes(
        self,
        embedding: ImageEmbedding,
        boxes_xyxy: Float32,
        *,
        multimask: bool = False,
        mask_threshold: float = 0.0,
    ) -> MaskPredictions:
        things = [segment for segment in self._scene.segments if segment.isthing]
        own = np.array([segment.bbox_xyxy for segment in things], dtype=np.float32)
        best = np.abs(boxes_xyxy[:, None] - own[None]).sum(axis=2).argmin(axis=1)
        return self._answer([[things[i].id] for i in best], multimask)

    def masks_from_points(
        self,
        embedding: ImageEmbedding,
        points_xy: Sequence[Float32],
        labels: Sequence[NDArray[np.int32]],
        *,
        multimask: bool = False,
        mask_threshold: float = 0.0,
    ) -> MaskPredictions:
        answers = []
        for points, signs in zip(points_xy, labels, strict=True):
            columns, rows = np.floor(points[signs == 1]).astype(int).T
            hits = np.bincount(self._scene.label_map[rows, columns])
            least = min(len(rows) / 4, hits.max())
            answers.append(np.nonzero(hits >= least)[0].tolist())
        return self._answer(answers, multimask)

    def _answer(self, answers: Sequence[Sequence[int]], multimask: bool) -> MaskPredictions:
        outputs = 3 if multimask else 1
        masks = np.array([np.isin(self._scene.label_map, ids) for ids in answers])
        return MaskPredictions(
            np.repeat(masks[:, None], outputs, axis=1),
            np.ones((len(answers), outputs), dtype=np.float32),
        )


def score_scenes(method: Method, *, noise: float) -> QualityReport:
    """Quality on rendered scenes when boxes are exact, and coarse logits blocky and noisy."""
    categories = Categories.from_words(THINGS, STUFF)
    quality = PanopticQuality.of(categories)
    for seed in range(6):
        height, width = [(128, 128), (160, 96), (96, 160)][seed % 3]
        scene = render_scene(seed, height=height, width=width)
        rng = np.random.default_rng(seed)
        things = [segment for segment in scene.segments if segment.isthing]
        scores = np.full((len(things), len(categories.things)), 0.05)
        for query, segment in enumerate(things):
            scores[query, THINGS.index(segment.name)] = rng.uniform(0.5, 0.9)
        rows, columns = (
            ((np.arange(22) + 0.5) * side / 22).astype(int) for side in (height, width)
        )
        cells = scene.label_map[np.ix_(rows, columns)]
        logits = np.full((len(categories.stuff), 22, 22), -4.0)
        for segment in scene.segments:
            if not segment.isthing:
                logits[STUFF.index(segment.name)][cells == segment.id] = 2
        logits += rng.normal(scale=noise, size=logits.shape)
        result = run(
            grounded_of(
                np.array([segment.bbox_xyxy for segment in things], dtype=np.float32),
                scores,
                THINGS,
                (height, width),
            ),
            StuffLogits(logits.astype(np.float32), STUFF, (height, width)),
            embed_plainly(scene.image),
            categories,
            METHODS[method],
            ScenePrompter(scene),
        )
        quality.add(GroundTruth.of(panoptic_of(scene, categories)), result)
    return quality.result()


def test_with_a_perfect_perception_the_result_is_nearly_perfect() -> None:
    report = score_scenes("default", noise=0.0)
    assert report.things is not None and report.stuff is not None
    assert report.things.pq == 1
    assert report.stuff.pq > 0.99


def test_with_noisy_regions_the_default_beats_the_reference() -> None:
    default, reference = (score_scenes(method, noise=2.0) for method in METHOD_NAMES)
    assert default.all is not None and reference.all is not None
    assert default.all.pq > 0.99
    assert default.all.pq > reference.all.pq > 0.9
