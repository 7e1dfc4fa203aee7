"""Batches for the detector: scenes with captions, their boxes and which tokens name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.scene_cache import SceneCache
from zeropan.models.grounding_dino.captions import SEPARATOR, Encoding
from zeropan.models.grounding_dino.grounding import normalise
from zeropan.scenes.vocabulary import COLOURED_THINGS, COLOURS, HELD_OUT_PAIRS, THINGS

ASPECTS = ((1.0, 1.0), (0.75, 1.0), (1.0, 0.75))
"""Shares of a scene's height and width that a batch shows; square scenes alone would teach that a
box's shape in shares of the image is its shape in pixels."""
ASPECT_CHANCES = (0.5, 0.25, 0.25)
LEAST_VISIBLE = 0.4
"""A box is kept if this share of it is inside the crop."""
PLAIN_SHARE = 0.4
"""Share of captions that name objects without colours, as most people do."""
COLOUR_SHARE = 0.3
"""Share of captions that name colours alone, so that a colour is learned apart from its object."""
TRAINED_PHRASES = tuple(
    f"{colour} {name}"
    for name in COLOURED_THINGS
    for colour in COLOURS
    if (colour, name) not in HELD_OUT_PAIRS
)
"""A held-out phrase may not stand in a caption at all: it would be learned as always absent."""


@dataclass
class Batch:
    """B images with what is to be found in them."""

    images: Tensor
    """float32 (B, 3, h, w), normalised."""
    captions: list[str]
    boxes: list[Tensor]
    """For each image float32 (n, 4): centre and size, as shares of the image."""
    tokens: list[Tensor]
    """For each image float32 (n, L): 1 for the tokens that name the box."""


def make_batch(
    cache: SceneCache, indices: list[int], size: int, encode: Any, rng: np.random.Generator
) -> Batch:
    """Load, turn, flip and tint scenes, and write a caption for each."""
    images, captions, boxes, words = [], [], [], []
    shares = ASPECTS[int(rng.choice(len(ASPECTS), p=ASPECT_CHANCES))]
    for index in indices:
        image, segments = np.asarray(cache.images[index]), cache.segments[index]
        things = [segment for segment in segments if segment["isthing"]]
        found = np.array([segment["bbox_xyxy"] for segment in things], np.float32).reshape(-1, 4)
        image, found = _turned(image, found / image.shape[0], rng)
        image, found, inside = _cropped(image, found, shares, rng)
        things = [thing for thing, kept_thing in zip(things, inside, strict=True) if kept_thing]
        phrases, named = _caption(things, rng)
        images.append(image)
        boxes.append(torch.from_numpy(_centred(found)))
        words.append(named)
        captions.append("".join(phrase + SEPARATOR for phrase in phrases).rstrip())
    encodings = [encode(caption) for caption in captions]
    length = max(len(encoding.ids) for encoding in encodings)
    tokens, kept = [], []
    for caption, encoding, named, whole in zip(captions, encodings, words, boxes, strict=True):
        spans = _spans(caption, encoding, length)
        keep = [i for i, phrase in enumerate(named) if phrase in spans]
        kept.append(whole[keep])
        tokens.append(
            torch.stack([spans[named[i]] for i in keep]) if keep else torch.zeros(0, length)
        )
    sides = round(size * shares[0]), round(size * shares[1])
    return Batch(_pixels(images, sides, rng), captions, kept, tokens)


def _pixels(images: list[Any], sides: tuple[int, int], rng: np.random.Generator) -> Tensor:
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    pixels = functional.interpolate(
        pixels, size=sides, mode="bilinear", align_corners=False, antialias=True
    )
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (len(images), 1, 1, 1))).float()
    tint = torch.from_numpy(rng.uniform(0.96, 1.04, (len(images), 3, 1, 1))).float()
    return normalise((pixels * gain * tint).clamp(0, 1))


def _turned(image: Any, boxes: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Quarter turns and a flip; boxes are shares of the image, (n, 4) corners."""
    for _ in range(int(rng.integers(0, 4))):
        image = np.rot90(image)
        x0, y0, x1, y1 = boxes.T
        boxes = np.stack([y0, 1 - x1, y1, 1 - x0], -1)
    if rng.random() < 0.5:
        image = image[:, ::-1]
        x0, y0, x1, y1 = boxes.T
        boxes = np.stack([1 - x1, y0, 1 - x0, y1], -1)
    return np.ascontiguousarray(image), np.ascontiguousarray(boxes, np.float32)


def _cropped(
    image: Any, boxes: Any, shares: tuple[float, float], rng: np.random.Generator
) -> tuple[Any, Any, Any]:
    """A random part of the image, its boxes as shares of the part, and which boxes are in it."""
    height, width = image.shape[:2]
    rows, columns = round(height * shares[0]), round(width * shares[1])
    top = int(rng.integers(0, height - rows + 1))
    left = int(rng.integers(0, width - columns + 1))
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    scale = np.array([width / columns, height / rows] * 2, np.float32)
    shift = np.array([left / columns, top / rows] * 2, np.float32)
    inner = (boxes * scale - shift).clip(0, 1)
    seen = (inner[:, 2:] - inner[:, :2]).prod(-1) / scale[:2].prod()
    inside = seen >= LEAST_VISIBLE * whole
    return image[top : top + rows, left : left + columns], inner[inside], inside


def _centred(boxes: Any) -> Any:
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], -1).astype(np.float32)


def _caption(things: list[Any], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Phrases of the caption in their order, and for each thing the phrase that would name it."""
    kind = rng.random()
    if kind < COLOUR_SHARE:
        named = [thing["colour"] or thing["name"] for thing in things]
        phrases = _mostly(sorted({colour for colour in named if colour in COLOURS}), rng)
        others = [colour for colour in COLOURS if colour not in named]
        rng.shuffle(others)
        phrases += others[: int(rng.integers(2, 7))]
    elif kind < COLOUR_SHARE + PLAIN_SHARE:
        named = [thing["name"] for thing in things]
        if rng.random() < 0.6:
            phrases = list(THINGS)
        else:
            absent = [name for name in THINGS if name not in named]
            rng.shuffle(absent)
            phrases = _mostly(sorted(set(named)), rng) + absent[: int(rng.integers(2, 7))]
    else:
        named = [thing["phrase"] for thing in things]
        present = set(named)
        colours = {thing["colour"] for thing in things}
        objects = {thing["name"] for thing in things}
        near = [
            phrase
            for phrase in TRAINED_PHRASES
            if phrase not in present
            and (phrase.split()[0] in colours or phrase.split()[1] in objects)
        ]
        far = [
            phrase
            for phrase in (*TRAINED_PHRASES, *(n for n in THINGS if n not in COLOURED_THINGS))
            if phrase not in present and phrase not in near
        ]
        rng.shuffle(near)
        rng.shuffle(far)
        most = 20 if rng.random() < 0.3 else 7
        wrong = near[: int(rng.integers(2, most))] + far[: int(rng.integers(1, 1 + most // 2))]
        phrases = _mostly(sorted(present), rng) + wrong
    rng.shuffle(phrases)
    return phrases, named


def _mostly(phrases: list[str], rng: np.random.Generator) -> list[str]:
    """All of them, or now and then all but one, so that silence is learned too."""
    if len(phrases) > 1 and rng.random() < 0.2:
        phrases = list(phrases)
        phrases.pop(int(rng.integers(len(phrases))))
    return phrases


def _spans(caption: str, encoding: Encoding, length: int) -> dict[str, Tensor]:
    """For each phrase of a caption: float32 (L,), 1 for its tokens."""
    spans: dict[str, Tensor] = {}
    start = 0
    for phrase in caption.rstrip(". ").split(SEPARATOR):
        end = start + len(phrase)
        marks = torch.zeros(length)
        for number, (first, last) in enumerate(encoding.offsets):
            if last > first and start <= first and last <= end:
                marks[number] = 1
        spans[phrase] = marks
        start = end + len(SEPARATOR)
    return spans
