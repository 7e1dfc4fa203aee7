"""Many words: a thousand categories, synonyms, thresholds of their own, on true inference."""

from __future__ import annotations

import numpy as np
import pytest

from zeropan.models.grounding_dino.adapter import GroundingDinoDetector
from zeropan.models.grounding_dino.captions import plan_captions
from zeropan.models.presets import BUNDLED
from zeropan.models.sam.adapter import SamSegmenter
from zeropan.scenes.render import render_scene
from zeropan.scenes.vocabulary import THINGS
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import ThingsConfig
from zeropan.segmentation.records import GroundedBoxes, ThingMasks
from zeropan.segmentation.things import segment_things
from zeropan.segmentation.token_scores import score_categories

SCENE = render_scene(1)
CONFIG = ThingsConfig()


@pytest.fixture(scope="module")
def detector() -> GroundingDinoDetector:
    return GroundingDinoDetector.load(BUNDLED / "grounding_dino")


@pytest.fixture(scope="module")
def sam() -> SamSegmenter:
    return SamSegmenter.load(BUNDLED / "segment_anything")


def things(*categories: Category) -> Categories:
    return Categories.checked(list(categories), [])


def found(detector: GroundingDinoDetector, sam: SamSegmenter, categories: Categories) -> ThingMasks:
    return segment_things(
        detector.ground(SCENE.image, categories.thing_prompts),
        sam.embed(SCENE.image),
        categories,
        CONFIG,
        segmenter=sam,
    )


def scores_of(grounded: GroundedBoxes, count: int) -> np.ndarray:
    """Best score of each prompt, float32 (count,)."""
    _, scores = score_categories(grounded, tuple(range(1, count + 1)), CONFIG)
    return np.asarray(scores.max(axis=0))


def test_a_thousand_categories_are_asked_and_the_true_ones_found(
    detector: GroundingDinoDetector, sam: SamSegmenter
) -> None:
    words = [f"thing number {number}" for number in range(988)]
    names = words[:500] + list(THINGS) + words[500:]
    categories = things(*(Category(name=name, isthing=True) for name in names))
    grounded = detector.ground(SCENE.image, categories.thing_prompts)
    assert len(grounded.boxes_xyxy) > 10
    assert len(set(grounded.token_prompt[grounded.token_prompt >= 0].tolist())) == 1000
    answer = found(detector, sam, categories)
    seen = {names[number - 1] for number in answer.category_ids.tolist()}
    true = {segment.name for segment in SCENE.segments if segment.isthing}
    assert len(seen & true) >= len(true) - 1, (seen, true)


def test_the_split_changes_no_score(detector: GroundingDinoDetector) -> None:
    """A category's score in a long list is its score in the caption that it stands in."""
    names = [f"{word} {number}" for number in range(40) for word in THINGS]
    whole = detector.ground(SCENE.image, names)
    passes = plan_captions(names, detector.tokenizer.encode, max_tokens=detector.max_text_tokens)
    assert len(passes) >= 3
    expected = []
    for one in passes:
        members = sorted({owner for owner in one.token_prompt if owner >= 0})
        part = [names[number] for number in members]
        expected.append(scores_of(detector.ground(SCENE.image, part), len(part)))
    np.testing.assert_allclose(scores_of(whole, len(names)), np.concatenate(expected), atol=1e-5)


def test_synonyms_are_one_category(detector: GroundingDinoDetector, sam: SamSegmenter) -> None:
    plain = found(detector, sam, things(*(Category(name=n, isthing=True) for n in THINGS)))
    names = [f"my {name}" for name in THINGS]
    synonyms = found(
        detector,
        sam,
        things(
            *(
                Category(name=name, isthing=True, prompts=(f"unheard {name}", word))
                for name, word in zip(names, THINGS, strict=True)
            )
        ),
    )
    assert len(synonyms.scores) >= len(plain.scores) > 0
    np.testing.assert_array_equal(np.unique(synonyms.category_ids), np.unique(plain.category_ids))


def test_a_category_may_have_its_own_threshold(
    detector: GroundingDinoDetector, sam: SamSegmenter
) -> None:
    plain = found(detector, sam, things(*(Category(name=n, isthing=True) for n in THINGS)))
    chosen = int(plain.category_ids[0])
    strict = found(
        detector,
        sam,
        things(
            *(
                Category(name=n, isthing=True, box_threshold=1.0 if i == chosen else None)
                for i, n in enumerate(THINGS, start=1)
            )
        ),
    )
    assert chosen not in strict.category_ids
    others = plain.category_ids[plain.category_ids != chosen]
    assert set(others.tolist()) <= set(strict.category_ids.tolist())
