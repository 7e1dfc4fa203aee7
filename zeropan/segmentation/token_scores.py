"""From a detector's token scores to one score for each box and category.

Scores are taken over the tokens of a category's own prompts, never from decoded phrases: "car"
cannot match "carpet", and "cat dog" cannot appear.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zeropan.errors import RecordError
from zeropan.segmentation.config import ThingsConfig
from zeropan.segmentation.records import Float32, GroundedBoxes


def score_prompts(grounded: GroundedBoxes, config: ThingsConfig) -> Float32:
    """Score every box of every caption for every prompt.

    A prompt's score is the mean or the maximum of its tokens' scores, and 0 unless each of its
    tokens reaches the text threshold or where the box's caption does not hold the prompt.

    Returns:
        float32 (P * Q, number of prompts) in [0, 1], caption by caption.
    """
    passes, queries = grounded.boxes_xyxy.shape[:2]
    scores = np.zeros((passes, queries, len(grounded.prompts)), dtype=np.float32)
    for caption in range(passes):
        token_prompt = grounded.token_prompt[caption]
        for prompt in np.unique(token_prompt[token_prompt >= 0]):
            tokens = grounded.token_scores[caption][:, token_prompt == prompt]
            score = (
                tokens.max(axis=1)
                if config.token_score == "max"
                else tokens.mean(axis=1, dtype=np.float64)
            )
            whole = tokens.min(axis=1) >= config.text_threshold
            scores[caption, :, prompt] = np.where(whole, score, 0)
    return scores.reshape(passes * queries, len(grounded.prompts))


def score_categories(
    grounded: GroundedBoxes, prompt_category_ids: Sequence[int], config: ThingsConfig
) -> tuple[Float32, Float32]:
    """Score every box for every thing category: the best of the category's synonyms.

    Args:
        grounded: the detector's answer.
        prompt_category_ids: the category id, 1 to C, of each of `grounded.prompts`.
        config: text threshold and token score.

    Returns:
        Boxes, float32 (N, 4), and scores, float32 (N, C) in [0, 1]; column c is category c + 1.

    Raises:
        RecordError: there is not one category id for each prompt.
    """
    if len(prompt_category_ids) != len(grounded.prompts):
        raise RecordError(
            f"prompt_category_ids: expected one for each of {len(grounded.prompts)} prompts, got "
            f"{len(prompt_category_ids)}; ground the image with the same categories"
        )
    by_prompt = score_prompts(grounded, config)
    scores = np.zeros((len(by_prompt), max(prompt_category_ids, default=0)), dtype=np.float32)
    for prompt, category_id in enumerate(prompt_category_ids):
        column = scores[:, category_id - 1]
        np.maximum(column, by_prompt[:, prompt], out=column)
    return grounded.boxes_xyxy.reshape(-1, 4), scores
