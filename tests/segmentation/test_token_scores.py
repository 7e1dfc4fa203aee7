"""Scores by token span."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike

from zeropan.errors import RecordError
from zeropan.segmentation.config import ThingsConfig
from zeropan.segmentation.records import GroundedBoxes
from zeropan.segmentation.token_scores import score_categories

MEAN = ThingsConfig(text_threshold=0.25, token_score="mean")
MAX = ThingsConfig(text_threshold=0.25, token_score="max")


def grounded(
    token_scores: ArrayLike, token_prompt: ArrayLike, prompts: Sequence[str]
) -> GroundedBoxes:
    """Boxes whose first corner is their place in the list."""
    scores = np.array(token_scores, dtype=np.float32)
    passes, queries, _ = scores.shape
    boxes = np.zeros((passes, queries, 4), dtype=np.float32)
    boxes[..., 0] = np.arange(passes * queries).reshape(passes, queries)
    return GroundedBoxes(
        boxes, scores, np.array(token_prompt, dtype=np.int32), tuple(prompts), (100, 100)
    )


def test_a_prompt_scores_the_mean_or_the_maximum_of_its_tokens() -> None:
    answer = grounded([[[0.4, 0.8, 0.9]]], [[0, 0, -1]], ["red cup"])
    assert score_categories(answer, [1], MEAN)[1] == pytest.approx(np.array([[0.6]]))
    assert score_categories(answer, [1], MAX)[1] == pytest.approx(np.array([[0.8]]))


@pytest.mark.parametrize("config", [MEAN, MAX])
def test_one_weak_token_rules_the_prompt_out(config: ThingsConfig) -> None:
    answer = grounded([[[0.24, 0.9], [0.25, 0.9]]], [[0, 0]], ["red cup"])
    scores = score_categories(answer, [1], config)[1][:, 0]
    assert scores[0] == 0
    assert scores[1] > 0.5


def test_car_does_not_match_carpet() -> None:
    # The caption is "car . carpet .": the second prompt begins with a token like the first.
    tokens = [[0, -1, 1, 1, -1]]
    answer = grounded([[[0.9, 0, 0.2, 0.1, 0], [0.2, 0, 0.8, 0.9, 0]]], tokens, ["car", "carpet"])
    scores = score_categories(answer, [1, 2], MEAN)[1]
    assert scores == pytest.approx(np.array([[0.9, 0], [0, 0.85]]))


def test_a_category_scores_the_best_of_its_synonyms() -> None:
    answer = grounded([[[0.3, 0.7, 0.4], [0.6, 0.3, 0.1]]], [[0, 1, 2]], ["sofa", "couch", "chair"])
    scores = score_categories(answer, [1, 1, 2], MEAN)[1]
    assert scores == pytest.approx(np.array([[0.7, 0.4], [0.6, 0]]))


def test_long_lists_come_in_several_captions() -> None:
    answer = grounded([[[0.5, 0.9]], [[0.7, 0.0]]], [[0, -1], [1, -1]], ["cup", "egg"])
    boxes, scores = score_categories(answer, [1, 2], MEAN)
    assert boxes[:, 0].tolist() == [0, 1]
    assert scores == pytest.approx(np.array([[0.5, 0], [0, 0.7]]))


def test_a_prompt_without_tokens_scores_nothing() -> None:
    answer = grounded([[[0.9]]], [[0]], ["cup", "?"])
    assert score_categories(answer, [1, 2], MEAN)[1].tolist()[0][1] == 0


def test_no_prompts_and_no_boxes_give_empty_tables() -> None:
    boxes, scores = score_categories(grounded(np.zeros((0, 0, 0)), np.zeros((0, 0)), []), [], MEAN)
    assert boxes.shape == (0, 4) and scores.shape == (0, 0)
    answer = grounded(np.zeros((1, 0, 2)), [[0, -1]], ["cup"])
    assert score_categories(answer, [1], MEAN)[1].shape == (0, 1)


def test_every_prompt_needs_its_category() -> None:
    with pytest.raises(RecordError, match="expected one for each of 1 prompts, got 2"):
        score_categories(grounded([[[0.9]]], [[0]], ["cup"]), [1, 2], MEAN)
