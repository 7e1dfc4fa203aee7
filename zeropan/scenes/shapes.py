"""Signed distances (negative inside) to plane shapes, all float32 arrays of one shape (h, w)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def circle(x: Field, y: Field, radius: float, cx: float = 0.0, cy: float = 0.0) -> Field:
    """Disc of a radius around (cx, cy)."""
    result: Field = np.hypot(x - np.float32(cx), y - np.float32(cy)) - np.float32(radius)
    return result


def ring(x: Field, y: Field, radius: float, half: float, cx: float = 0.0, cy: float = 0.0) -> Field:
    """Annulus of mid-radius ``radius`` and half-thickness ``half``."""
    return np.abs(circle(x, y, radius, cx, cy)) - np.float32(half)


def ellipse(x: Field, y: Field, rx: float, ry: float, cx: float = 0.0, cy: float = 0.0) -> Field:
    """Ellipse with half-axes (rx, ry); first-order distance, exact at the border."""
    dx = x - np.float32(cx)
    dy = y - np.float32(cy)
    scaled = np.hypot(dx / np.float32(rx), dy / np.float32(ry))
    slope = np.hypot(dx / np.float32(rx * rx), dy / np.float32(ry * ry))
    result: Field = scaled * (scaled - 1) / np.maximum(slope, np.float32(1e-6))
    return result


def rounded_box(
    x: Field, y: Field, hx: float, hy: float, corner: float, cx: float = 0.0, cy: float = 0.0
) -> Field:
    """Rectangle with half-sides (hx, hy) and corners rounded by ``corner``."""
    qx = np.abs(x - np.float32(cx)) - np.float32(hx - corner)
    qy = np.abs(y - np.float32(cy)) - np.float32(hy - corner)
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    result: Field = outside + np.minimum(np.maximum(qx, qy), 0) - np.float32(corner)
    return result


def tapered_capsule(x: Field, y: Field, r1: float, r2: float, h: float) -> Field:
    """Hull of a disc r1 at the origin and a disc r2 at (0, h); needs |r1 - r2| < h."""
    if abs(r1 - r2) >= h:
        raise ValueError("a tapered capsule needs |r1 - r2| < h")
    b = (r1 - r2) / h
    a = math.sqrt(1 - b * b)
    ax = np.abs(x)
    along = np.float32(a) * y - np.float32(b) * ax
    side = np.float32(a) * ax + np.float32(b) * y - np.float32(r1)
    out = np.where(along < 0, np.hypot(ax, y) - np.float32(r1), side)
    return np.where(along > a * h, np.hypot(ax, y - np.float32(h)) - np.float32(r2), out)


def smooth_union(a: Field, b: Field, k: float) -> Field:
    """Union whose inner corner is filleted over a length ``k``."""
    h = np.clip(0.5 + (b - a) * np.float32(0.5 / k), 0, 1)
    result: Field = b + (a - b) * h - np.float32(k) * h * (1 - h)
    return result


def blob(x: Field, y: Field, radius: float, waves: list[tuple[int, float, float]]) -> Field:
    """Disc whose radius wobbles by a sum of (count, amplitude, phase) cosines of the angle."""
    theta = np.arctan2(y, x)
    edge = np.full_like(theta, radius)
    for count, amplitude, phase in waves:
        edge += np.float32(amplitude) * np.cos(np.float32(count) * theta + np.float32(phase))
    return np.hypot(x, y) - edge


def dome(distance: Field, width: float) -> Field:
    """Height of a quarter-round bulge that rises from the border to 1 at ``width`` inside."""
    t = np.clip(1 + distance / np.float32(width), 0, 1)
    result: Field = np.sqrt(np.maximum(1 - t * t, 0))
    return result
