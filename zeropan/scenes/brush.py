"""A local patch on which one object is painted in its own coordinates."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from zeropan.scenes.shapes import Field

Colour = tuple[float, float, float]
Light = tuple[float, float, float]


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """Blend of two colours, a at t=0 and b at t=1."""
    return (a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2]))


def scale(a: Colour, factor: float) -> Colour:
    """A darker or brighter colour."""
    return (a[0] * factor, a[1] * factor, a[2] * factor)


class Brush:
    """Colours rgb float32 (n, n, 3) and coverage alpha float32 (n, n), both about [0, 1].

    The object is about the unit disc: (x, y) keep the picture's directions, (u, v) turn with the
    object. ``px`` is the side of a pixel in these units, ``light`` points towards the lamp.
    """

    MARGIN = 1.12

    def __init__(
        self,
        radius_px: float,
        offset: tuple[float, float],
        angle: float,
        light: Light,
        rng: np.random.Generator,
    ) -> None:
        half = math.ceil(radius_px * self.MARGIN) + 1
        self.half = half
        self.px = 1.0 / radius_px
        self.light = light
        self.rng = rng
        line = np.arange(-half, half + 1, dtype=np.float32)
        gx: Field = (line - np.float32(offset[0])) / np.float32(radius_px)
        gy: Field = (line - np.float32(offset[1])) / np.float32(radius_px)
        self.x, self.y = (np.ascontiguousarray(g) for g in np.meshgrid(gx, gy))
        c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        self.u: Field = c * self.x + s * self.y
        self.v: Field = c * self.y - s * self.x
        self.light_uv = (
            float(c) * light[0] + float(s) * light[1],
            float(c) * light[1] - float(s) * light[0],
        )
        self.rgb: NDArray[np.float32] = np.zeros((*self.x.shape, 3), dtype=np.float32)
        self.alpha: Field = np.zeros(self.x.shape, dtype=np.float32)

    def cover(self, distance: Field, soft: float = 0.0) -> Field:
        """Pixel coverage of a shape, its border widened by ``soft``."""
        result: Field = np.clip(0.5 - distance / np.float32(self.px + soft), 0, 1)
        return result

    def body(self, distance: Field, colour: Colour) -> None:
        """Add a shape to the silhouette, over what is there."""
        cover = self.cover(distance)
        tone = np.array(colour, dtype=np.float32)
        if self.alpha.any():
            self.rgb += cover[..., None] * (tone - self.rgb)
        else:
            # Border pixels must not fade towards the empty patch's black.
            self.rgb[:] = tone
        self.alpha = np.maximum(self.alpha, cover)

    def paint(
        self,
        distance: Field,
        colour: Colour | NDArray[np.float32],
        opacity: float = 1.0,
        soft: float = 0.0,
    ) -> None:
        """Colour a shape within the silhouette."""
        cover = self.cover(distance, soft) * np.float32(opacity)
        self.rgb += cover[..., None] * (np.asarray(colour, dtype=np.float32) - self.rgb)

    def tint(self, amount: Field, colour: Colour) -> None:
        """Blend towards a colour by a field in [0, 1]."""
        self.rgb += amount[..., None] * (np.array(colour, dtype=np.float32) - self.rgb)

    def multiply(self, factor: Field) -> None:
        """Darken or brighten by a field."""
        self.rgb *= factor[..., None]

    def relief(
        self,
        height: Field,
        *,
        shine: float = 0.0,
        gloss: float = 30.0,
        ambient: float = 0.4,
        where: Field | None = None,
    ) -> None:
        """Light the surface z = height: a diffuse factor, and a highlight of strength ``shine``."""
        gy, gx = np.gradient(height, self.px)
        norm = 1 / np.sqrt(gx * gx + gy * gy + 1)
        lx, ly, lz = (np.float32(c) for c in self.light)
        diffuse = np.clip((lz - gx * lx - gy * ly) * norm, 0, None) / lz
        factor = np.float32(ambient) + np.float32(1 - ambient) * diffuse
        if where is not None:
            factor = 1 + where * (factor - 1)
        self.rgb *= factor[..., None].astype(np.float32)
        if shine > 0:
            half_norm = math.sqrt(2 + 2 * float(lz))
            facing = np.clip((lz + 1 - gx * lx - gy * ly) * norm / half_norm, 0, 1)
            bright = np.float32(shine) * facing ** np.float32(gloss)
            # A level surface keeps no glare of its own: only what exceeds it is a highlight.
            bright = np.clip(bright - shine * ((float(lz) + 1) / half_norm) ** gloss, 0, 1)
            if where is not None:
                bright = bright * where
            self.tint(bright.astype(np.float32), (1.0, 1.0, 0.98))
