"""Painters of tableware: each fills a brush whose object is about the unit disc."""

from __future__ import annotations

import numpy as np

from zeropan.scenes.brush import Brush, Colour, mix, scale
from zeropan.scenes.shapes import (
    Field,
    circle,
    dome,
    ellipse,
    ring,
    rounded_box,
    smooth_union,
    tapered_capsule,
)

_WHITE: Colour = (1.0, 1.0, 1.0)


def _inner(colour: Colour) -> Colour:
    """A floor tone that stays visible even where the glaze is black."""
    return mix(scale(colour, 0.86), (0.30, 0.28, 0.27), 0.12)


def cup(b: Brush, colour: Colour) -> None:
    """A handled cup of tea or coffee, the rim a little above its foot in the picture."""
    y = b.y + np.float32(0.10)
    loop = ring(b.u, b.v, 0.215, 0.085, 0.72, 0.0)
    b.body(loop, colour)
    b.relief(0.12 * dome(loop, 0.085), shine=0.4)
    side = tapered_capsule(b.x, y, 0.70, 0.58, 0.26)
    b.body(side, scale(colour, 0.72))
    rim = circle(b.x, y, 0.70)
    b.paint(rim, mix(colour, _WHITE, 0.10))
    lip = ring(b.x, y, 0.645, 0.065)
    b.relief(0.07 * dome(lip, 0.065), shine=0.6, where=b.cover(lip))
    well = circle(b.x, y, 0.585)
    b.paint(well, scale(_inner(colour), 0.65))
    drinks: tuple[Colour, ...] = ((0.20, 0.10, 0.05), (0.42, 0.19, 0.06), (0.33, 0.36, 0.10))
    drink = drinks[int(b.rng.integers(3))]
    tea = circle(b.x, y, 0.53, 0.0, 0.025)
    b.paint(tea, drink)
    b.paint(
        np.maximum(tea, -circle(b.x, y, 0.45, 0.0, 0.02)), mix(drink, _WHITE, 0.22), 0.7, soft=0.04
    )
    lx, ly, _ = b.light
    # The wall on the lamp's side shades the drink.
    shade = np.maximum(tea, -circle(b.x + np.float32(0.12 * lx), y + np.float32(0.12 * ly), 0.5))
    b.paint(shade, (0.02, 0.01, 0.01), 0.45, soft=0.08)
    b.paint(ellipse(b.x, y, 0.13, 0.08, 0.22 * lx, 0.22 * ly), _WHITE, 0.55, soft=0.08)


def plate(b: Brush, colour: Colour) -> None:
    """A flat plate: wide sloping rim, level middle."""
    r = np.hypot(b.x, b.y)
    edge = r - np.float32(0.97)
    b.body(edge, colour)
    slope = np.clip((r - np.float32(0.62)) / np.float32(0.12), 0, 1)
    height = np.float32(0.05) * slope * slope * (3 - 2 * slope)
    height += np.float32(0.05) * dome(edge, 0.05)
    middle = r - np.float32(0.64)
    b.paint(middle, mix(colour, _WHITE, 0.16), soft=0.02)
    b.relief(height, shine=0.5, gloss=35, ambient=0.45)
    b.paint(ring(b.x, b.y, 0.90, 0.018), mix(colour, _WHITE, 0.55), 0.8)
    lx, ly, _ = b.light
    # A broad sheen across the glaze tells a level surface from a hollow one.
    sheen = np.clip(1 - np.abs(b.x * np.float32(ly) - b.y * np.float32(lx)) * 1.6, 0, 1)
    b.tint((np.float32(0.10) * sheen * b.alpha).astype(np.float32), _WHITE)


def bowl(b: Brush, colour: Colour) -> None:
    """A deep bowl: narrow lip, and a hollow that is dark towards the lamp."""
    y = b.y + np.float32(0.07)
    side = tapered_capsule(b.x, y, 0.90, 0.76, 0.22)
    b.body(side, scale(colour, 0.62))
    r = np.hypot(b.x, y)
    b.paint(r - np.float32(0.90), mix(colour, _WHITE, 0.22))
    lip = np.abs(r - np.float32(0.84)) - np.float32(0.06)
    b.relief(0.06 * dome(lip, 0.06), shine=0.7, where=b.cover(lip))
    hollow = r - np.float32(0.79)
    b.paint(hollow, _inner(colour))
    lx, ly, _ = b.light
    inside = b.cover(hollow)
    bottom = np.clip((r - np.float32(0.30)) / np.float32(0.49), 0, 1)
    b.relief(np.float32(0.42) * bottom * bottom, shine=0.35, gloss=18, ambient=0.42, where=inside)
    b.multiply(1 - inside * np.float32(0.30) * np.clip(1 - r / np.float32(0.8), 0, 1))
    shade = np.maximum(hollow, -circle(b.x + np.float32(0.3 * lx), y + np.float32(0.3 * ly), 0.74))
    b.paint(shade, scale(colour, 0.18), 0.55, soft=0.16)
    b.paint(ring(b.x, y, 0.34, 0.014, 0.0, 0.03), scale(colour, 0.4), 0.55, soft=0.02)


def box(b: Brush, colour: Colour) -> None:
    """A lacquered lunch box with three compartments."""
    outer = rounded_box(b.u, b.v, 0.90, 0.64, 0.14)
    b.body(outer, colour)
    split = b.rng.uniform(-0.12, 0.18)
    cross = b.rng.uniform(-0.10, 0.10)
    wall, gap = 0.11, 0.045
    left = (-0.90 + wall, split - gap)
    right = (split + gap, 0.90 - wall)
    low = (-0.64 + wall, cross - gap)
    high = (cross + gap, 0.64 - wall)
    full = (-0.64 + wall, 0.64 - wall)
    if b.rng.random() < 0.5:
        cells = ((left, full), (right, low), (right, high))
    else:
        cells = ((right, full), (left, low), (left, high))

    def wells(du: float, dv: float) -> Field:
        out = np.full_like(b.u, 9.0)
        for (u0, u1), (v0, v1) in cells:
            cell = rounded_box(
                b.u + np.float32(du),
                b.v + np.float32(dv),
                (u1 - u0) / 2,
                (v1 - v0) / 2,
                0.07,
                (u0 + u1) / 2,
                (v0 + v1) / 2,
            )
            out = np.minimum(out, cell)
        return out

    floor = wells(0.0, 0.0)
    ridge = np.maximum(outer, -floor)
    b.relief(0.07 * dome(ridge, 0.06), shine=0.7, gloss=30)
    b.paint(floor, scale(_inner(colour), 0.85))
    du, dv = b.light_uv
    shade = np.maximum(floor, -wells(0.14 * du, 0.14 * dv))
    b.paint(shade, scale(colour, 0.15), 0.6, soft=0.05)


def spoon(b: Brush, colour: Colour) -> None:
    """A broad spoon with a stout handle."""
    head = ellipse(b.u, b.v, 0.36, 0.27, -0.61)
    shaft = tapered_capsule(b.v, b.u + np.float32(0.40), 0.092, 0.125, 1.24)
    whole = smooth_union(head, shaft, 0.14)
    b.body(whole, colour)
    hollow = ellipse(b.u, b.v, 0.27, 0.19, -0.62)
    across = np.hypot((b.u + np.float32(0.62)) / np.float32(0.27), b.v / np.float32(0.19))
    dent = np.float32(0.13) * np.clip(1 - across * across, 0, 1)
    b.relief(0.10 * dome(whole, 0.10) - dent, shine=0.7, gloss=28, ambient=0.35)
    b.paint(hollow, scale(colour, 0.35), 0.25, soft=0.1)


def chopsticks(b: Brush) -> None:
    """A pair side by side, one instance, thick enough to be seen at 192 px."""
    tones: tuple[Colour, ...] = ((0.42, 0.13, 0.09), (0.30, 0.17, 0.10), (0.16, 0.10, 0.09))
    tone = tones[int(b.rng.integers(3))]
    # Touching sticks that taper together: the pair stays one compact shape.
    taper = np.float32(0.058) + np.float32(0.020) * np.clip(b.u, -1, 1)
    across = np.abs(np.abs(b.v) - taper) - taper
    ends = np.abs(b.u) - np.float32(0.97)
    pair = np.maximum(across, ends)
    b.body(pair, tone)
    gold: Colour = (0.86, 0.68, 0.30)
    for at in (0.62, 0.72):
        b.paint(np.abs(b.u - np.float32(at)) - np.float32(0.022), gold)
    b.paint(np.float32(0.84) - b.u, mix(tone, (0.05, 0.04, 0.04), 0.6))
    b.relief(0.07 * dome(pair, 0.06), shine=0.6, gloss=25)
    b.paint(np.abs(b.v) - np.float32(0.006), scale(tone, 0.3), 0.8)
