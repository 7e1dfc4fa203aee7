"""Recall on pairs of colour and object that were never trained, against pairs that were.

    python -m benchmarks.colour_pairs [--scenes N] [--preset tiny]

The same seeds are rendered twice: with coloured things only in held-out pairs ("blue cup"), and
only in trained ones. A true thing is found if a segment of exactly its phrase has an IoU above
0.5 with it in the final label map. Prompts: the phrases in the picture and four that are not (the
same object in another colour, another object in the same colour), or all 40 phrases at once.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

import numpy as np

from zeropan.choices import Pairs
from zeropan.models.loading import PresetModels, resolve_precisions
from zeropan.models.presets import find_preset
from zeropan.scenes.render import render_scene
from zeropan.scenes.scene import Scene
from zeropan.scenes.vocabulary import COLOURED_THINGS, COLOURS, HELD_OUT_PAIRS, STUFF, THINGS
from zeropan.segmentation import pipeline
from zeropan.segmentation.asked import Asked
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Int32, Panoptic

Prompting = Literal["present and four others", "all 40 phrases"]
PLAIN = [name for name in THINGS if name not in COLOURED_THINGS]
PHRASES = [f"{colour} {name}" for name in COLOURED_THINGS for colour in COLOURS]


def prompts_for(scene: Scene, prompting: Prompting) -> list[str]:
    """The thing phrases to ask for in a scene."""
    if prompting == "all 40 phrases":
        return PHRASES + PLAIN
    present = sorted({segment.phrase for segment in scene.segments if segment.isthing})
    coloured = [phrase for phrase in present if phrase in PHRASES]
    near = [
        phrase
        for phrase in PHRASES
        if phrase not in present
        and any(set(phrase.split()) & set(mine.split()) for mine in coloured)
    ]
    picked = np.random.default_rng(scene.seed).permutation(near or PHRASES)[:4]
    return present + [phrase for phrase in picked.tolist() if phrase not in present]


def segment(scene: Scene, categories: Categories, preset: str) -> Panoptic:
    """The four steps with the preset's default parameters."""
    config = find_preset(preset).config_for("default")
    models = PresetModels(preset, "auto", resolve_precisions(preset, "auto", "auto"))
    return pipeline.segment(scene.image, Asked.of(categories, config), models).panoptic


def found(scene: Scene, categories: Categories, result: Panoptic) -> Iterator[tuple[str, bool]]:
    """Each coloured thing's phrase, and whether a segment of that phrase matches it."""
    words = categories.canonical
    names = {info.id: words.by_id(info.category_id).name for info in result.segments_info}
    label_map: Int32 = result.label_map
    for thing in scene.segments:
        if thing.phrase not in PHRASES:
            continue
        mask = scene.mask(thing.id)
        hit = False
        for i in np.unique(label_map[mask]).tolist():
            if names.get(i) == thing.phrase:
                other = label_map == i
                hit |= bool((mask & other).sum() / (mask | other).sum() > 0.5)
        yield thing.phrase, hit


def recall(
    pairs: Pairs, seeds: range, prompting: Prompting, preset: str
) -> dict[str, tuple[int, int]]:
    """(found, all) for each phrase that occurs."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for seed in seeds:
        scene = render_scene(seed, pairs=pairs)
        categories = Categories.from_words(prompts_for(scene, prompting), STUFF)
        for phrase, hit in found(scene, categories, segment(scene, categories, preset)):
            counts[phrase][0] += hit
            counts[phrase][1] += 1
    return {phrase: (hits, total) for phrase, (hits, total) in counts.items()}


def by_object(counts: dict[str, tuple[int, int]]) -> dict[str, float]:
    """Recall of each object; the mix of objects differs between the two sets of pairs."""
    return {
        name: sum(hits for phrase, (hits, _) in counts.items() if phrase.endswith(f" {name}"))
        / max(1, sum(total for phrase, (_, total) in counts.items() if phrase.endswith(f" {name}")))
        for name in COLOURED_THINGS
    }


def main() -> None:
    """Measure and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--preset", default="tiny")
    given = parser.parse_args()
    seeds = range(given.scenes)
    print("| prompts | pairs | " + " | ".join(COLOURED_THINGS) + " | mean over objects |")
    print("|---|---|" + "---|" * (len(COLOURED_THINGS) + 1))
    everything: tuple[Prompting, ...] = ("present and four others", "all 40 phrases")
    kinds: tuple[Pairs, ...] = ("train", "held_out")
    for prompting in everything:
        means = []
        for pairs in kinds:
            counts = recall(pairs, seeds, prompting, given.preset)
            objects = by_object(counts)
            means.append(float(np.mean(list(objects.values()))))
            cells = [f"{value:.3f}" for value in (*objects.values(), means[-1])]
            things = sum(total for _, total in counts.values())
            label = "trained" if pairs == "train" else "held out"
            print(f"| {prompting} | {label} ({things}) | " + " | ".join(cells) + " |", flush=True)
            if pairs == "held_out":
                for colour, name in sorted(HELD_OUT_PAIRS):
                    print(f"    {colour} {name}: {counts.get(f'{colour} {name}')}")
        print(f"    held out / trained: {means[1] / means[0]:.3f}", flush=True)


if __name__ == "__main__":
    main()
