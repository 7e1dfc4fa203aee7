"""How sure a difference in panoptic quality is: a paired bootstrap over scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zeropan.evaluation.panoptic_quality import CategoryCounts


@dataclass(frozen=True)
class SceneCounts:
    """What was counted in each scene for each category."""

    iou_sum: NDArray[np.float64]
    """float64 (scenes, categories)."""
    pairs: NDArray[np.float64]
    """True positives and half of the false positives and negatives; (scenes, categories)."""

    @classmethod
    def of(cls, scenes: Sequence[Mapping[int, CategoryCounts]]) -> SceneCounts:
        """From every scene's counts by category id."""
        ids = sorted(scenes[0])
        table = np.array(
            [
                [
                    (
                        scene[i].iou_sum,
                        scene[i].true_positives
                        + (scene[i].false_positives + scene[i].false_negatives) / 2,
                    )
                    for i in ids
                ]
                for scene in scenes
            ]
        )
        return cls(table[..., 0], table[..., 1])

    def pq(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Panoptic quality, float64 (R,), of R draws in which scene s counts weights[r, s] times.

        As in PQ itself, a draw's mean is over the categories that occur in it.
        """
        sums, pairs = weights @ self.iou_sum, weights @ self.pairs
        occurs = pairs > 0
        each = np.divide(sums, pairs, out=np.zeros_like(sums), where=occurs)
        mean: NDArray[np.float64] = each.sum(axis=1) / np.maximum(occurs.sum(axis=1), 1)
        return mean


def difference_interval(
    base: SceneCounts, other: SceneCounts, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The 95% interval of PQ(base) - PQ(other), with the same scenes drawn for both.

    Efron and Tibshirani: An Introduction to the Bootstrap (1993), percentile intervals.
    """
    scenes = len(base.iou_sum)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=draws).astype(np.float64)
    low, high = np.percentile(base.pq(weights) - other.pq(weights), [2.5, 97.5])
    return float(low), float(high)
