"""Colours of the stuff: wood, cloth, marble, slate and bamboo, as functions of the plane.

Coordinates are in units of the picture's short side, so that detail keeps its size at any
resolution; ``px`` is a pixel's side in these units. All give float32 (h, w, 3), about [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zeropan.scenes.brush import Colour
from zeropan.scenes.shapes import Field

Rgb = NDArray[np.float32]
Texture = Callable[[Field, Field, float, np.random.Generator], Rgb]

_CELLS, _STEP = 64, 8


@lru_cache(maxsize=1)
def _tile() -> Field:
    """A periodic smooth noise tile of 64 cells of 8 samples, about [-1, 1]."""
    grid = np.random.default_rng(20).uniform(-1, 1, (_CELLS, _CELLS)).astype(np.float32)
    side = _CELLS * _STEP
    at = np.arange(side, dtype=np.float32) / _STEP
    rows, cols = np.meshgrid(at, at, indexing="ij")
    fine = ndimage.map_coordinates(grid, [rows, cols], order=3, mode="grid-wrap")
    return np.ascontiguousarray(fine, dtype=np.float32)


def noise(u: Field, v: Field, fu: float, fv: float, rng: np.random.Generator) -> Field:
    """Smooth noise of ``fu`` and ``fv`` cells a unit at a random place; about [-1, 1]."""
    tile = _tile()
    side = tile.shape[0]
    ou, ov = rng.uniform(side, 2 * side, 2)
    a = u * np.float32(fu * _STEP) + np.float32(ou + 64 * side)
    b = v * np.float32(fv * _STEP) + np.float32(ov + 64 * side)
    ia, ib = a.astype(np.int32), b.astype(np.int32)
    ta, tb = a - ia.astype(np.float32), b - ib.astype(np.float32)
    # The side is a power of two, so that wrapping is a mask.
    a0, a1 = ia & (side - 1), (ia + 1) & (side - 1)
    b0, b1 = (ib & (side - 1)) * side, ((ib + 1) & (side - 1)) * side
    flat = tile.ravel()
    top = flat[b0 + a0] * (1 - ta) + flat[b0 + a1] * ta
    low = flat[b1 + a0] * (1 - ta) + flat[b1 + a1] * ta
    result: Field = top + (low - top) * tb
    return result


def _toned(base: Colour, factor: Field) -> Rgb:
    return factor[..., None] * np.array(base, dtype=np.float32)


def _pick(options: list[Colour], rng: np.random.Generator) -> Colour:
    a, b = rng.integers(len(options), size=2)
    t = 0.25 * rng.random()
    first, second = options[int(a)], options[int(b)]
    red, green, blue = (p + t * (q - p) for p, q in zip(first, second, strict=True))
    return (red, green, blue)


def wood(u: Field, v: Field, px: float, rng: np.random.Generator) -> Rgb:
    """Planks with grain along u."""
    base = _pick(
        [(0.66, 0.45, 0.27), (0.55, 0.34, 0.19), (0.77, 0.58, 0.38), (0.44, 0.27, 0.16)], rng
    )
    plank = rng.uniform(0.22, 0.42)
    at = v / np.float32(plank) + np.float32(rng.random() + 50)
    row = np.floor(at)
    tone = rng.uniform(0.88, 1.1, 128).astype(np.float32)[row.astype(np.int32) % 128]
    shifted = u + row * np.float32(0.37)
    slow = noise(shifted, v, 0.9, 6.0, rng)
    rings = np.sin(v * np.float32(85) + slow * np.float32(7.0))
    fine = noise(shifted, v, 3.5, 75.0, rng)
    factor = tone * (
        1 + np.float32(0.075) * rings + np.float32(0.10) * fine + np.float32(0.05) * slow
    )
    within = at - row
    joint = np.minimum(within, 1 - within) * np.float32(plank / max(px, 0.004))
    factor *= 1 - np.float32(0.5) * np.clip(np.float32(1.2) - joint, 0, 1)
    out = _toned(base, factor)
    # Dark grain is redder than light grain.
    out[..., 2] *= 1 + np.float32(0.06) * rings
    return out


def cloth(u: Field, v: Field, px: float, rng: np.random.Generator) -> Rgb:
    """Plain, striped or chequered weave with soft folds."""
    palette: list[Colour] = [
        (0.86, 0.83, 0.76),
        (0.72, 0.33, 0.33),
        (0.36, 0.50, 0.64),
        (0.53, 0.62, 0.48),
        (0.85, 0.69, 0.40),
        (0.62, 0.50, 0.62),
        (0.88, 0.66, 0.64),
        (0.30, 0.42, 0.50),
    ]
    base = np.array(palette[int(rng.integers(len(palette)))], dtype=np.float32)
    other = np.array([0.93, 0.91, 0.86], dtype=np.float32)
    if base.min() > 0.7:
        other = np.array(palette[1 + int(rng.integers(len(palette) - 1))], dtype=np.float32)
    period = rng.uniform(0.07, 0.13)
    kind = rng.choice(4, p=[0.22, 0.28, 0.40, 0.10])

    def band(t: Field, width: float) -> Field:
        wave = np.abs((t / np.float32(period)) % 1 - np.float32(0.5)) * np.float32(period)
        result: Field = np.clip(0.5 + (np.float32(width * period) - wave) / np.float32(px), 0, 1)
        return result

    out: Rgb
    if kind == 0:
        out = np.broadcast_to(base, (*u.shape, 3)).copy()
    elif kind == 1:
        out = base + band(u, 0.2)[..., None] * (other - base)
    elif kind == 2:
        amount = (band(u, 0.25) + band(v, 0.25)) * np.float32(0.5)
        out = other + amount[..., None] * (base - other)
    else:
        line = np.maximum(band(u, 0.07), band(v, 0.07))
        out = base + np.float32(0.8) * line[..., None] * (other - base)
    folds = noise(u, v, 1.6, 3.2, rng)
    weave = noise(u, v, 60.0, 110.0, rng)
    out *= (1 + np.float32(0.07) * folds + np.float32(0.05) * weave)[..., None]
    return out


def marble(u: Field, v: Field, px: float, rng: np.random.Generator) -> Rgb:
    """Pale stone with grey veins."""
    base = _pick([(0.88, 0.88, 0.87), (0.83, 0.84, 0.86), (0.88, 0.85, 0.81)], rng)
    warp = noise(u, v, 2.5, 2.5, rng)
    bend = noise(u, v, 7.0, 7.0, rng)
    cloud = noise(u, v, 1.3, 3.0, rng)
    ridge = np.abs(
        np.sin(
            v * np.float32(7.5)
            + u * np.float32(2.5)
            + np.float32(2.6) * warp
            + np.float32(0.5) * bend
        )
    )
    vein = np.exp(-ridge * np.float32(7)) * (np.float32(0.6) + np.float32(0.5) * cloud)
    second = np.abs(np.float32(0.6) * warp - cloud + np.float32(0.25) * bend)
    vein = np.clip(vein + np.float32(0.35) * np.exp(-second * np.float32(14)), 0, 1)
    out = _toned(base, 1 + np.float32(0.06) * cloud)
    grey = np.array((0.42, 0.43, 0.47), dtype=np.float32)
    out += (np.float32(0.75) * vein)[..., None] * (grey - out)
    return out


def slate(u: Field, v: Field, px: float, rng: np.random.Generator) -> Rgb:
    """Dark split stone with layered, faintly lit steps."""
    base = _pick([(0.25, 0.27, 0.29), (0.21, 0.24, 0.27), (0.29, 0.29, 0.30)], rng)
    slow = noise(u, v, 3.0, 4.5, rng)
    fine = noise(u, v, 16.0, 24.0, rng)
    grit = noise(u, v, 90.0, 90.0, rng)
    layers = (slow * np.float32(2.4) + fine * np.float32(0.35)) % 1
    step = np.clip((layers - np.float32(0.86)) * np.float32(7), 0, 1)
    return _toned(
        base,
        1
        + np.float32(0.14) * fine
        + np.float32(0.10) * grit
        + np.float32(0.32) * step
        + np.float32(0.10) * slow,
    )


def bamboo(u: Field, v: Field, px: float, rng: np.random.Generator) -> Rgb:
    """Round slats along u, tied by pairs of threads."""
    base = _pick([(0.80, 0.69, 0.40), (0.72, 0.66, 0.36), (0.86, 0.75, 0.50)], rng)
    pitch = rng.uniform(0.034, 0.046)
    at = v / np.float32(pitch) + np.float32(500)
    row = np.floor(at)
    across = (at - row) * 2 - 1
    tone = rng.uniform(0.86, 1.08, 256).astype(np.float32)[row.astype(np.int32) % 256]
    profile = np.sqrt(np.clip(1 - across * across * np.float32(0.93), 0, 1))
    grain = noise(u + row * np.float32(0.61), v, 5.0, 60.0, rng)
    factor = tone * (np.float32(0.38) + np.float32(0.66) * profile + np.float32(0.06) * grain)
    out = _toned(base, factor)
    gap = rng.uniform(0.26, 0.36)
    near = np.abs(
        np.abs((u / np.float32(gap)) % 1 - np.float32(0.5)) * np.float32(gap) - np.float32(0.012)
    ) - np.float32(0.0045)
    cover = np.clip(0.5 - near / np.float32(px), 0, 1) * np.float32(0.8)
    thread = np.array((0.42, 0.30, 0.17), dtype=np.float32) * profile[..., None]
    out += cover[..., None] * (thread - out)
    return out


TEXTURES: dict[str, Texture] = {
    "wood": wood,
    "cloth": cloth,
    "marble": marble,
    "slate": slate,
    "bamboo mat": bamboo,
}
