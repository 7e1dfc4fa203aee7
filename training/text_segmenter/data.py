"""Training examples of the text segmenter: scenes, distorted views of them, and prompts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.scene_cache import open_cache
from zeropan.scenes.vocabulary import STUFF, THINGS, category_id

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)

# Words of no category, so that the model learns to answer "nowhere" to what it does not know.
UNKNOWN_WORDS: Final = tuple(
    word
    for line in (
        "sky grass water river sea sand snow road wall floor ceiling window door tree leaf",
        "flower hill mountain cloud rain sun moon dog cat horse bird fish cow sheep lion",
        "tiger bear man woman child face hand foot eye hair shirt coat hat shoe car bus truck",
        "train boat plane bicycle wheel lamp chair sofa bed desk shelf clock phone screen",
        "keyboard mouse cable paper book pen pencil bag rope chain knife fork pan pot oven",
        "sink towel mirror soap brick tile metal glass leather rubber plastic foam concrete",
        "gravel mud clay ice fire smoke fog apple banana grape pear carrot onion potato bread",
        "cheese butter milk coffee tea cake rice pasta soup salad",
    )
    for word in line.split()
)


class SceneSource:
    """The scenes of a cache folder, also while it is still being rendered.

    Scene i is always that of the folder's i-th seed: of an unfinished cache only the shards
    before the first missing one are used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blocks: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        self._starts: list[int] = [0]
        self._segments: list[list[dict[str, Any]]] = []
        self._whole = False
        self.refresh()

    def __len__(self) -> int:
        return len(self._segments)

    def refresh(self) -> int:
        """Look for shards that were finished since; the number of scenes."""
        if self._whole:
            return len(self)
        if (self.folder / "segments.json").exists():
            cache = open_cache(self.folder)
            self._blocks = [(cache.images, cache.labels)]
            self._starts = [0, len(cache)]
            self._segments = list(cache.segments)
            self._whole = True
            return len(self)
        while (done := self._shard("segments.json")).exists():
            try:
                segments = json.loads(done.read_text(encoding="utf-8"))
                images = np.load(self._shard("images.npy"), mmap_mode="r")
                labels = np.load(self._shard("labels.npy"), mmap_mode="r")
            except FileNotFoundError:
                # The shards have just been joined: the whole cache is there at the next look.
                break
            self._blocks.append((images, labels))
            self._segments.extend(segments)
            self._starts.append(len(self._segments))
        return len(self)

    def _shard(self, kind: str) -> Path:
        return self.folder / "shards" / f"{len(self._blocks):05d}.{kind}"

    def take(
        self, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[list[dict[str, Any]]]]:
        """Images uint8 (B, S, S, 3), segment ids uint8 (B, S, S) and segments of scenes."""
        images, labels = [], []
        for index in indices.tolist():
            block = int(np.searchsorted(self._starts, index, side="right")) - 1
            offset = index - self._starts[block]
            images.append(self._blocks[block][0][offset])
            labels.append(self._blocks[block][1][offset])
        return (
            np.stack(images),
            np.stack(labels),
            [self._segments[i] for i in indices.tolist()],
        )


@dataclass(frozen=True)
class Batch:
    """B views with P prompts each, drawn from U distinct prompts."""

    pixels: Tensor
    """float32 (B, 3, S, S), normalised; padding is 0."""
    categories: Tensor
    """int64 (B, S, S): 1..17, 0 in the padding."""
    prompts: list[str]
    """The U distinct prompts; the first five are the words for stuff, in their order."""
    prompt_category: Tensor
    """int64 (U,): the prompts' categories, 0 for an unknown word."""
    rows: Tensor
    """int64 (B, P): prompts of each image; the first five columns are the words for stuff."""
    targets: Tensor
    """bool (B, P, S, S): where each prompt is true."""


def build_batch(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    segments: Sequence[Sequence[dict[str, Any]]],
    *,
    rng: np.random.Generator,
    augment: bool = True,
) -> Batch:
    """Turn scenes into a batch: one distortion for all of them, a mirror and a turn for each."""
    tables = np.zeros((len(segments), 256), dtype=np.uint8)
    for table, rows in zip(tables, segments, strict=True):
        for row in rows:
            table[row["id"]] = category_id(row["name"])
    ids = torch.from_numpy(labels.copy())
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0
    pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    if augment:
        pixels, ids = _turn_each(pixels, ids, rng)
        if rng.random() < 0.3:
            pixels, ids = _shrink_and_pad(pixels, ids, rng)
        shade = torch.from_numpy(rng.normal(0.0, 0.08, (2, len(segments), 1, 1, 1))).float()
        pixels = torch.where(ids[:, None] == 0, pixels, pixels * (1 + shade[0]) + shade[1])
    categories = torch.from_numpy(
        np.take_along_axis(tables, ids.numpy().reshape(len(ids), -1).astype(np.int64), axis=1)
    ).reshape(ids.shape)
    prompts, rows_, extra = _choose_prompts(segments, rng)
    stuff = torch.tensor([category_id(name) for name in STUFF])
    targets = torch.cat(
        (
            categories[:, None] == stuff[None, :, None, None],
            torch.stack([_any_of(plane, ids_) for plane, ids_ in zip(ids, extra, strict=True)])[
                :, None
            ],
        ),
        dim=1,
    )
    known = {name: category_id(name) for name in (*THINGS, *STUFF)}
    numbers = [known.get(prompt, known.get(prompt.split(" ")[-1], 0)) for prompt in prompts]
    return Batch(
        pixels=pixels,
        categories=categories.long(),
        prompts=prompts,
        prompt_category=torch.tensor(numbers),
        rows=torch.tensor(rows_),
        targets=targets,
    )


def _any_of(ids: Tensor, wanted: Sequence[int]) -> Tensor:
    found = torch.zeros(ids.shape, dtype=torch.bool)
    for number in wanted:
        found |= ids == number
    return found


def _turn_each(pixels: Tensor, ids: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    turned = []
    for picture, plane in zip(pixels, ids, strict=True):
        quarters, mirror = int(rng.integers(4)), bool(rng.integers(2))
        picture, plane = torch.rot90(picture, quarters, (1, 2)), torch.rot90(plane, quarters)
        if mirror:
            picture, plane = picture.flip(2), plane.flip(1)
        turned.append((picture, plane))
    return torch.stack([p for p, _ in turned]), torch.stack([i for _, i in turned])


def _shrink_and_pad(pixels: Tensor, ids: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """What the model sees of a picture that is not square.

    A window of random shape, made smaller, with padding below and on the right.
    """
    side = ids.shape[-1]
    long, short = side, int(side * rng.uniform(0.4, 1.0))
    height, width = (long, short) if rng.random() < 0.5 else (short, long)
    top, left = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
    pixels = pixels[:, :, top : top + height, left : left + width]
    ids = ids[:, top : top + height, left : left + width]
    scale = rng.uniform(0.5, 1.0)
    size = (max(int(height * scale), 8), max(int(width * scale), 8))
    pixels = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    ids = functional.interpolate(ids[:, None], size=size, mode="nearest-exact")[:, 0]
    spare = (0, side - size[1], 0, side - size[0])
    return functional.pad(pixels, spare), functional.pad(ids, spare)


def _choose_prompts(
    segments: Sequence[Sequence[dict[str, Any]]], rng: np.random.Generator
) -> tuple[list[str], list[list[int]], list[list[int]]]:
    """The five words for stuff, and one more word for each scene: a thing or an unknown word."""
    prompts = list(STUFF)
    rows, extra = [], []
    for scene in segments:
        things = [row for row in scene if row["isthing"]]
        draw = rng.random()
        if draw < 0.4 and things:
            field = "phrase" if rng.random() < 0.4 else "name"
            word = str(things[int(rng.integers(len(things)))][field])
        elif draw < 0.6:
            word = THINGS[int(rng.integers(len(THINGS)))]
        else:
            word = unknown_word(rng)
        extra.append([row["id"] for row in things if word in (row["name"], row["phrase"])])
        if word not in prompts:
            prompts.append(word)
        rows.append([*range(len(STUFF)), prompts.index(word)])
    return prompts, rows, extra


def unknown_word(rng: np.random.Generator) -> str:
    """One or two words that name nothing in a scene: from a list, or random letters."""
    if rng.random() < 0.5:
        words = [UNKNOWN_WORDS[int(rng.integers(len(UNKNOWN_WORDS)))]]
    else:
        letters = rng.integers(ord("a"), ord("z") + 1, int(rng.integers(3, 10)))
        words = ["".join(chr(letter) for letter in letters)]
    if rng.random() < 0.15:
        words.append(UNKNOWN_WORDS[int(rng.integers(len(UNKNOWN_WORDS)))])
    return " ".join(words)
