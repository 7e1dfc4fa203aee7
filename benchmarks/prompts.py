"""How much a word's score depends on the words that share its caption.

    python -m benchmarks.prompts [--scenes N] [--preset tiny]

For every thing in a scene, the best score of its word: alone, among all twelve words, and among
those and a hundred made-up ones in several captions. A found thing is one at the default threshold.
"""

from __future__ import annotations

import argparse

import numpy as np

from zeropan.models.loading import detector
from zeropan.models.presets import find_preset
from zeropan.scenes.render import render_scene
from zeropan.scenes.vocabulary import THINGS
from zeropan.segmentation.token_scores import score_categories

FIRST_SEED = 1000
MADE_UP = tuple(f"{first} {second}" for first in ("new", "odd", "old", "far", "low")
                for second in ("plank", "wheel", "glove", "brick", "chain", "clock", "drum",
                               "fence", "guitar", "hammer", "kite", "ladder", "mirror", "nail",
                               "oar", "pillow", "rope", "saw", "tent", "vase"))  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--preset", default="tiny")
    given = parser.parse_args()
    config = find_preset(given.preset).config_for("default").things
    model = detector(given.preset, "auto")

    def best(image: np.ndarray, words: list[str]) -> dict[str, float]:
        grounded = model.ground(image, words)
        _, scores = score_categories(grounded, tuple(range(1, len(words) + 1)), config)
        return dict(zip(words, scores.max(axis=0).tolist(), strict=True))

    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + given.scenes):
        scene = render_scene(seed)
        true = sorted({segment.name for segment in scene.segments if segment.isthing})
        together = best(scene.image, list(THINGS))
        crowd = best(scene.image, [*THINGS, *MADE_UP])
        for word in true:
            alone = best(scene.image, [word])[word]
            rows.append((alone, together[word], crowd[word]))
    scores = np.array(rows)
    print("| asked | mean score | found | mean change | 95% of changes within |")
    print("|---|---|---|---|---|")
    for name, column in zip(("alone", "among 12", "among 112"), scores.T, strict=True):
        change = np.abs(column - scores[:, 0])
        print(
            f"| {name} | {column.mean():.3f} | {(column >= config.box_threshold).mean():.1%} "
            f"| {change.mean():.3f} | {np.quantile(change, 0.95):.3f} |"
        )


if __name__ == "__main__":
    main()
