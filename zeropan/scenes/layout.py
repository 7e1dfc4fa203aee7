"""Where things lie: classes, colours, sizes and places, with occlusion kept moderate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zeropan.scenes.vocabulary import COLOURED_THINGS, STUFF, THINGS, allowed_colours

# Range of the bounding radius in units of the short side, and the silhouette's aspect ratio.
_RADIUS = {
    "nigiri": (0.115, 0.155),
    "maki": (0.090, 0.125),
    "cup": (0.130, 0.180),
    "plate": (0.170, 0.235),
    "bowl": (0.135, 0.195),
    "box": (0.180, 0.250),
    "egg": (0.100, 0.140),
    "lemon": (0.100, 0.135),
    "tomato": (0.092, 0.130),
    "cookie": (0.088, 0.125),
    "spoon": (0.205, 0.265),
    "chopsticks": (0.260, 0.320),
}
_ASPECT = {"nigiri": 0.48, "box": 0.68, "lemon": 0.7, "spoon": 0.26, "chopsticks": 0.14}
_LAYER = {"plate": 0, "box": 0, "bowl": 1, "cup": 1}
_FOOD = ("nigiri", "maki", "egg", "lemon", "tomato", "cookie")
_GRID = 80


@dataclass(frozen=True)
class Placement:
    """A thing's centre and radius in units of the short side, and its turn in radians."""

    name: str
    colour: str | None
    cx: float
    cy: float
    radius: float
    angle: float


@dataclass(frozen=True)
class Sheet:
    """A piece of stuff: centre and half-sides in units of the short side, turn in radians."""

    name: str
    cx: float
    cy: float
    hx: float
    hy: float
    angle: float


def place_sheets(width: float, height: float, rng: np.random.Generator) -> tuple[str, list[Sheet]]:
    """The background's name, and none to two sheets of other stuff on it, lowest first."""
    weights = np.array([0.28, 0.24, 0.22, 0.16, 0.10])
    names = [STUFF[int(i)] for i in rng.choice(len(STUFF), 3, replace=False, p=weights)]
    count = int(rng.choice(3, p=[0.12, 0.53, 0.35]))
    # Mats are mostly laid on something: rarely the ground, often a sheet.
    if count and names[0] != "bamboo mat" and "bamboo mat" not in names and rng.random() < 0.35:
        names[1] = "bamboo mat"
    sheets = []
    for name in names[1 : 1 + count]:
        straight = float(rng.choice(4)) * math.pi / 2 + rng.normal(0, 0.12)
        angle = straight if rng.random() < 0.7 else rng.uniform(0, math.pi)
        hx = rng.uniform(0.26, 0.50)
        hy = rng.uniform(0.20, 0.36)
        cx, cy = rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height
        sheets.append(Sheet(name, float(cx), float(cy), float(hx), float(hy), float(angle)))
    return names[0], sheets


def _choose(pairs: str, area: float, rng: np.random.Generator) -> list[tuple[str, str | None]]:
    """Names and colours of the things to try, larger ones first so that they lie lower."""
    # A long picture has room for more.
    count = int(rng.integers(4, 9)) if area > 1.2 else int(rng.integers(3, 9))
    names = [THINGS[int(i)] for i in rng.choice(len(THINGS), count)]
    for k in range(count):
        # Long things crowd out the others: one pair of chopsticks is enough.
        if names[k] == "chopsticks" and "chopsticks" in names[:k]:
            names[k] = THINGS[int(rng.integers(len(THINGS) - 1))]
    if pairs == "held_out" and not any(n in COLOURED_THINGS for n in names):
        names[0] = COLOURED_THINGS[int(rng.integers(len(COLOURED_THINGS)))]
    coloured = [n for n in names if n in COLOURED_THINGS]
    if coloured and count < 8 and rng.random() < 0.35:
        # A second one in another colour makes the colour word matter.
        names.append(coloured[0])
    chosen: list[tuple[str, str | None]] = []
    for name in names:
        if name not in COLOURED_THINGS:
            chosen.append((name, None))
            continue
        options = allowed_colours(name, pairs)
        fresh = [c for c in options if (name, c) not in chosen] or list(options)
        chosen.append((name, fresh[int(rng.integers(len(fresh)))]))
    return sorted(chosen, key=lambda item: _LAYER.get(item[0], 2))


def _footprint(
    name: str,
    cx: float,
    cy: float,
    radius: float,
    angle: float,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
) -> NDArray[np.bool_]:
    c, s = math.cos(angle), math.sin(angle)
    u = np.abs((x - cx) * c + (y - cy) * s)
    v = np.abs((y - cy) * c - (x - cx) * s)
    aspect = _ASPECT.get(name, 0.92)
    if name in ("box", "chopsticks", "nigiri"):
        return (u < radius) & (v < radius * aspect)
    return u * u + (v / aspect) ** 2 < radius * radius


def place_things(
    width: float, height: float, pairs: str, rng: np.random.Generator
) -> list[Placement]:
    """Placements in painting order, judged on a coarse grid by rough footprints.

    No thing may hide more than about a third of an earlier one; food likes plates and boxes.
    """
    pad = 0.1
    xs = np.arange(-pad, width + pad, 1 / _GRID, dtype=np.float32)[None, :]
    ys = np.arange(-pad, height + pad, 1 / _GRID, dtype=np.float32)[:, None]
    frame = (xs >= 0) & (xs <= width) & (ys >= 0) & (ys <= height)
    placed: list[Placement] = []
    prints: list[NDArray[np.bool_]] = []
    visible: list[NDArray[np.bool_]] = []
    for name, colour in _choose(pairs, width * height, rng):
        small, large = _RADIUS[name]
        radius = float(rng.uniform(small, large))
        slack = 0.03 if rng.random() < 0.6 else 0.25
        supports = [p for p in placed if p.name in ("plate", "box")]
        for attempt in range(24):
            angle = float(rng.uniform(0, 2 * math.pi))
            on: Placement | None = None
            if name in _FOOD and supports and attempt < 12 and rng.random() < 0.75:
                on = supports[int(rng.integers(len(supports)))]
                reach = on.radius * 0.42 * math.sqrt(rng.random())
                phi = rng.uniform(0, 2 * math.pi)
                cx, cy = on.cx + reach * math.cos(phi), on.cy + reach * math.sin(phi)
            else:
                inset = radius * (0.85 if rng.random() < 0.8 else 0.5)
                cx = rng.uniform(inset, max(width - inset, inset + 0.01))
                cy = rng.uniform(inset, max(height - inset, inset + 0.01))
            mine = _footprint(name, float(cx), float(cy), radius, angle, xs, ys)
            total = max(int(mine.sum()), 1)
            if (mine & frame).sum() < 0.78 * total:
                continue
            fits = True
            for other, full, seen in zip(placed, prints, visible, strict=True):
                hit = int((mine & seen).sum())
                if hit and other is not on and hit > slack * min(total, int(full.sum())):
                    fits = False
                if (seen & ~mine).sum() < 0.66 * full.sum():
                    fits = False
                if not fits:
                    break
            if fits:
                visible = [seen & ~mine for seen in visible]
                placed.append(Placement(name, colour, float(cx), float(cy), radius, angle))
                prints.append(mine)
                visible.append(mine & frame)
                break
    return placed
