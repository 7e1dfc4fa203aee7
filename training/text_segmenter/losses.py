"""What the text segmenter is trained to do, and how well it does it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.text_segmenter.data import Batch
from training.text_segmenter.model import DENSE_CELLS, PATCH_SIZE, TrainingOutputs
from zeropan.scenes.vocabulary import STUFF, category_id

_THING_WEIGHT = 0.15
_FIRST_STUFF = category_id(STUFF[0])


def losses(outputs: TrainingOutputs, batch: Batch, decoded: slice) -> dict[str, Tensor]:
    """The parts of the loss, each a scalar, to be added up.

    Args:
        outputs: of the model; its logits cover the images `decoded` alone.
        batch: the examples.
        decoded: the images for which masks were decoded.
    """
    categories = batch.categories[decoded]
    targets = batch.targets[decoded]
    logits = outputs.logits
    count = len(STUFF)
    is_stuff = categories >= _FIRST_STUFF
    # The pipeline takes things out of the regions, so what stuff words say there hardly matters.
    weight = torch.where(is_stuff, 1.0, _THING_WEIGHT) * (categories > 0)
    stuff_weight = weight[:, None].expand(-1, count, -1, -1)
    weights = torch.cat((stuff_weight, (categories > 0).float()[:, None]), dim=1)
    # Of the words for stuff, the right one must come first; other pixels have no such word.
    choice = functional.cross_entropy(
        logits[:, :count],
        (categories - _FIRST_STUFF).clamp(min=-1),
        ignore_index=-1,
        reduction="sum",
    ) / is_stuff.sum().clamp(min=1)
    step = PATCH_SIZE // DENSE_CELLS
    cells = batch.categories[:, step // 2 :: step, step // 2 :: step]
    return {
        "bce": _balanced_bce(logits, targets, weights),
        "dice": 0.5 * _dice(logits, targets, weights),
        "choice": 0.5 * choice,
        "dense": 0.5 * functional.cross_entropy(outputs.dense, cells - 1, ignore_index=-1),
        "words": 0.2
        * functional.cross_entropy(
            outputs.words, batch.prompt_category[batch.rows[decoded].reshape(-1)]
        ),
    }


def _balanced_bce(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Binary cross entropy in which a small region's pixels weigh more, up to six times."""
    positive = (targets * weights).sum((2, 3), keepdim=True)
    total = weights.sum((2, 3), keepdim=True)
    boost = ((total - positive) / positive.clamp(min=1.0)).sqrt().clamp(1.0, 6.0)
    weights = torch.where(targets, weights * boost, weights)
    plain = functional.binary_cross_entropy_with_logits(
        logits, targets.to(logits.dtype), reduction="none"
    )
    return (plain * weights).sum() / weights.sum().clamp(min=1.0)


def _dice(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean dice loss of the prompts that are in the picture (Milletari et al., V-Net, 2016)."""
    scores = logits.sigmoid() * weights
    wanted = targets * weights
    areas = wanted.sum((2, 3))
    overlap = (scores * targets).sum((2, 3))
    per_plane = 1.0 - (2.0 * overlap + 1.0) / (scores.sum((2, 3)) + areas + 1.0)
    present = (areas > 0).float()
    return (per_plane * present).sum() / present.sum().clamp(min=1.0)


def stuff_ious(
    logits: Tensor, categories: Tensor, *, threshold: float
) -> tuple[list[float], list[float]]:
    """IoU of each word for stuff that is in a picture, the pixels of things left out.

    Args:
        logits: float32 (5, S, S), of the five words.
        categories: int64 (S, S), 1..17.
        threshold: probability below which a pixel is background.

    Returns:
        The IoUs of the best word above the threshold, as the pipeline decides, and those of each
        word's own probability above one half.
    """
    scores = logits.sigmoid()
    best, choice = scores.max(dim=0)
    is_stuff = categories >= _FIRST_STUFF
    joint: list[float] = []
    single: list[float] = []
    for index in range(len(STUFF)):
        truth = categories == _FIRST_STUFF + index
        if not bool(truth.any()):
            continue
        for found, into in (
            ((choice == index) & (best > threshold) & is_stuff, joint),
            ((scores[index] > 0.5) & is_stuff, single),
        ):
            into.append(float((found & truth).sum() / (found | truth).sum()))
    return joint, single
