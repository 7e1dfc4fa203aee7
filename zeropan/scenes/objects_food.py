"""Painters of food: each fills a brush whose object is about the unit disc."""

from __future__ import annotations

import math

import numpy as np

from zeropan.scenes.brush import Brush, Colour, mix, scale
from zeropan.scenes.shapes import (
    Field,
    blob,
    circle,
    dome,
    ellipse,
    rounded_box,
    smooth_union,
    tapered_capsule,
)
from zeropan.scenes.textures import noise

_RICE: Colour = (0.95, 0.94, 0.90)
_NORI: Colour = (0.07, 0.11, 0.09)


def _waves(
    rng: np.random.Generator, counts: tuple[int, ...], amplitude: float
) -> list[tuple[int, float, float]]:
    return [(n, amplitude * rng.uniform(0.4, 1.0), rng.uniform(0, 2 * math.pi)) for n in counts]


def nigiri(b: Brush) -> None:
    """A rice pillow under a slice of salmon, tuna or omelette."""
    rice = rounded_box(b.u, b.v, 0.90, 0.47, 0.36)
    b.body(rice, _RICE)
    grains = noise(b.u, b.v, 11.0, 11.0, b.rng)
    b.relief(0.28 * dome(rice, 0.3) + np.float32(0.018) * grains, ambient=0.55)
    topping = rounded_box(b.u, b.v, 0.97, 0.35, 0.28)
    palette: tuple[Colour, ...] = ((0.97, 0.46, 0.20), (0.98, 0.52, 0.26), (0.84, 0.17, 0.19))
    tone = palette[int(b.rng.integers(3))]
    # The slice's shade on the rice keeps the two apart under any light.
    b.paint(topping, (0.45, 0.32, 0.26), 0.5, soft=0.16)
    b.body(topping, tone)
    slope = b.rng.choice([-1.0, 1.0]) * b.rng.uniform(0.45, 0.8)
    wave = (b.u + np.float32(slope) * b.v + np.float32(0.05) * grains) / np.float32(0.30)
    line = np.abs((wave + np.float32(b.rng.random())) % 1 - np.float32(0.5)) * np.float32(0.30)
    stripe = np.maximum(line - np.float32(0.038), topping + np.float32(0.03))
    b.paint(stripe, mix(tone, (1.0, 0.92, 0.84), 0.7), 0.95, soft=0.03)
    over = b.cover(topping)
    b.relief(0.32 * dome(topping, 0.36), shine=0.5, gloss=40, where=over)
    if b.rng.random() < 0.25:
        band = np.maximum(np.abs(b.u) - np.float32(0.15), rice)
        b.paint(band, _NORI)
        b.relief(0.3 * dome(rice, 0.4), shine=0.25, where=b.cover(band))


def maki(b: Brush) -> None:
    """A roll on its end: a dark ring of seaweed around rice and a coloured core."""
    side = tapered_capsule(b.x, b.y + np.float32(0.12), 0.84, 0.78, 0.24)
    b.body(side, scale(_NORI, 0.8))
    top = b.y + np.float32(0.12)
    b.paint(circle(b.x, top, 0.83), mix(_NORI, (0.25, 0.32, 0.25), 0.35))
    rice = blob(b.x, top, 0.65, _waves(b.rng, (3, 5), 0.015))
    b.paint(rice, _RICE)
    inside = b.cover(rice)
    grains = noise(b.u, b.v, 9.0, 9.0, b.rng)
    b.relief(np.float32(0.035) * grains + 0.08 * dome(rice, 0.15), ambient=0.4, where=inside)
    cores: tuple[Colour, ...] = (
        (0.96, 0.45, 0.18),
        (0.38, 0.66, 0.22),
        (0.82, 0.16, 0.18),
        (0.97, 0.78, 0.22),
    )
    pick = b.rng.permutation(4)
    first, second = cores[int(pick[0])], cores[int(pick[1])]
    # The end face is raised, so its core is seen shifted like the rest of the face.
    core = rounded_box(b.x, top, 0.30, 0.26, 0.12)
    b.paint(core, first, soft=0.03)
    if b.rng.random() < 0.5:
        half = np.maximum(core, -b.x)
        b.paint(half, second, soft=0.03)
    b.relief(0.10 * dome(core, 0.14), shine=0.3, where=b.cover(core))


def egg(b: Brush) -> None:
    """A fried egg: a ragged white and a glossy yolk."""
    white = blob(b.u, b.v, 0.86, _waves(b.rng, (2, 3, 5), 0.075))
    b.body(white, (0.97, 0.96, 0.93))
    b.tint(np.float32(0.55) * b.cover(-(white + np.float32(0.03)), 0.09), (0.84, 0.62, 0.34))
    b.relief(
        0.20 * dome(white, 0.22) + np.float32(0.03) * noise(b.u, b.v, 3.0, 3.0, b.rng),
        shine=0.2,
        ambient=0.5,
    )
    at = b.rng.uniform(-0.12, 0.12, 2)
    yolk = circle(b.u, b.v, b.rng.uniform(0.38, 0.44), float(at[0]), float(at[1]))
    b.paint(yolk, (0.86, 0.72, 0.45), 0.5, soft=0.12)
    b.paint(yolk, (1.0, 0.70, 0.08))
    b.relief(0.30 * dome(yolk, 0.40), shine=0.9, gloss=60, where=b.cover(yolk))


def lemon(b: Brush) -> None:
    """A whole lemon with a nub at either end."""
    belly = ellipse(b.u, b.v, 0.80, 0.64)
    nubs = np.minimum(circle(b.u, b.v, 0.13, 0.84), circle(b.u, b.v, 0.10, -0.86))
    skin = smooth_union(belly, nubs, 0.24)
    b.body(skin, (0.98, 0.84, 0.12))
    b.tint(np.float32(0.45) * b.cover(circle(b.u, b.v, 0.08, 0.90), 0.12), (0.55, 0.55, 0.12))
    pores = noise(b.u, b.v, 9.0, 9.0, b.rng)
    b.relief(0.62 * dome(skin, 0.62) + np.float32(0.012) * pores, shine=0.55, gloss=26)


def tomato(b: Brush) -> None:
    """A red tomato under its green calyx."""
    skin = blob(b.u, b.v, 0.92, _waves(b.rng, (5,), 0.022) + _waves(b.rng, (2,), 0.03))
    b.body(skin, (0.90, 0.13, 0.08))
    b.relief(0.78 * dome(skin, 0.92), shine=0.75, gloss=45)
    theta = np.arctan2(b.v, b.u)
    lobes: Field = np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(5) * theta)
    spike: Field = np.power(lobes, np.float32(1.6), dtype=np.float32)
    star: Field = (np.hypot(b.u, b.v) - (np.float32(0.13) + np.float32(0.40) * spike)) * np.float32(
        0.5
    )
    du, dv = b.light_uv
    shade = np.hypot(b.u + np.float32(0.09 * du), b.v + np.float32(0.09 * dv))
    b.paint(
        (shade - (np.float32(0.13) + np.float32(0.40) * spike)) * np.float32(0.5),
        (0.35, 0.03, 0.02),
        0.5,
        soft=0.05,
    )
    b.paint(star, (0.22, 0.52, 0.13))
    b.relief(0.12 * dome(star, 0.10), where=b.cover(star))
    b.paint(circle(b.u, b.v, 0.08), (0.42, 0.55, 0.22))


def cookie(b: Brush) -> None:
    """A baked disc with dark chips."""
    edge = blob(b.u, b.v, 0.92, _waves(b.rng, (3, 7), 0.022))
    crumb: Colour = mix((0.80, 0.55, 0.29), (0.70, 0.45, 0.22), b.rng.random())
    b.body(edge, crumb)
    b.tint(np.float32(0.45) * b.cover(-(edge + np.float32(0.12)), 0.25), (0.50, 0.28, 0.12))
    rough = noise(b.u, b.v, 5.0, 5.0, b.rng)
    b.relief(0.28 * dome(edge, 0.3) + np.float32(0.045) * rough, ambient=0.45)
    chips = np.full_like(b.u, 9.0)
    turn = b.rng.uniform(0, 2 * math.pi)
    for k in range(7):
        # A ring of six and one in the middle: spread out, yet not regular.
        r = 0.08 if k == 6 else b.rng.uniform(0.48, 0.66)
        phi = turn + k * math.pi / 3 + b.rng.uniform(-0.3, 0.3)
        size = b.rng.uniform(0.11, 0.16)
        chips = np.minimum(
            chips, ellipse(b.u, b.v, size, size * 0.8, r * math.cos(phi), r * math.sin(phi))
        )
    b.paint(chips, (0.20, 0.09, 0.04))
    b.relief(0.10 * dome(chips, 0.10), shine=0.45, where=b.cover(chips))
