"""From a seed to a picture and its ground truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zeropan.choices import Pairs
from zeropan.scenes import objects_food, objects_ware
from zeropan.scenes.brush import Brush, Colour, Light
from zeropan.scenes.layout import Placement, Sheet, place_sheets, place_things
from zeropan.scenes.scene import Scene, SceneSegment, bounding_box
from zeropan.scenes.shapes import Field, rounded_box
from zeropan.scenes.textures import TEXTURES, noise
from zeropan.scenes.vocabulary import COLOURS

# Evaluation draws from the low seeds, training starts far above: the two can never meet.
HELD_OUT_SEEDS: Final = range(100_000)
TRAINING_SEED_START: Final = 1_000_000

_MIN_SIDE = 32
_VISIBLE_THING = 0.55
_VISIBLE_STUFF = 0.30
_MIN_SHARE = 0.001
_MIN_THINGS = 2
_RETRIES = 12

_FOOD: dict[str, Callable[[Brush], None]] = {
    "nigiri": objects_food.nigiri,
    "maki": objects_food.maki,
    "egg": objects_food.egg,
    "lemon": objects_food.lemon,
    "tomato": objects_food.tomato,
    "cookie": objects_food.cookie,
    "chopsticks": objects_ware.chopsticks,
}
_WARE: dict[str, Callable[[Brush, Colour], None]] = {
    "cup": objects_ware.cup,
    "plate": objects_ware.plate,
    "bowl": objects_ware.bowl,
    "box": objects_ware.box,
    "spoon": objects_ware.spoon,
}
# How high a thing stands, which sets its shadow's reach, in units of its radius.
_HEIGHT = {
    "cup": 0.40,
    "bowl": 0.34,
    "plate": 0.10,
    "box": 0.24,
    "egg": 0.10,
    "cookie": 0.14,
    "spoon": 0.07,
    "chopsticks": 0.06,
    "maki": 0.40,
    "lemon": 0.45,
    "tomato": 0.48,
    "nigiri": 0.28,
}


class _Canvas:
    """Image float32 (H, W, 3) about [0, 1] and labels int32 (H, W), painted from below."""

    def __init__(self, height: int, width: int, light: Light) -> None:
        self.short = float(min(height, width))
        self.light = light
        self.image: NDArray[np.float32] = np.zeros((height, width, 3), dtype=np.float32)
        self.labels: NDArray[np.int32] = np.zeros((height, width), dtype=np.int32)
        # Per label: pixels of the whole silhouette, and the share of it that must stay visible.
        self.full: list[tuple[int, float]] = []
        self.visible: list[int] = []

    def background(self, name: str, rng: np.random.Generator) -> None:
        """Fill the frame; becomes label 1."""
        height, width = self.labels.shape
        x, y = np.meshgrid(
            np.arange(width, dtype=np.float32) / np.float32(self.short),
            np.arange(height, dtype=np.float32) / np.float32(self.short),
        )
        u, v = _turn(x, y, float(rng.choice(2)) * math.pi / 2 + rng.normal(0, 0.1))
        self.image[:] = TEXTURES[name](u, v, 1 / self.short, rng)
        self.labels[:] = 1
        self.full.append((height * width, _VISIBLE_STUFF))
        self.visible.append(height * width)

    def stack(
        self,
        rgb: NDArray[np.float32],
        alpha: Field,
        top: int,
        left: int,
        rise: float,
        keep: float,
    ) -> bool:
        """Lay a patch with a shadow of ``rise`` pixels; False, and no change, if it hides a lot."""
        n, m = alpha.shape
        height, width = self.labels.shape
        r0, r1 = max(top, 0), min(top + n, height)
        c0, c1 = max(left, 0), min(left + m, width)
        if r0 >= r1 or c0 >= c1:
            return False
        solid = alpha >= 0.5
        inner = solid[r0 - top : r1 - top, c0 - left : c1 - left]
        window = self.labels[r0:r1, c0:c1]
        total, seen = int(solid.sum()), int(inner.sum())
        # Stuff may run out of the frame: only what could be seen counts.
        whole = total if keep == _VISIBLE_THING else seen
        if seen < max(keep * whole, 4 * _MIN_SHARE * self.labels.size):
            return False
        hidden = np.bincount(window[inner], minlength=len(self.full) + 1)
        for index, (size, share) in enumerate(self.full, start=1):
            left_over = self.visible[index - 1] - int(hidden[index])
            if hidden[index] and left_over < max(share * size, 4 * _MIN_SHARE * self.labels.size):
                return False
        self._shadow(alpha, top, left, rise)
        a = alpha[r0 - top : r1 - top, c0 - left : c1 - left, None]
        view = self.image[r0:r1, c0:c1]
        view += a * (rgb[r0 - top : r1 - top, c0 - left : c1 - left] - view)
        self.full.append((whole, keep))
        self.visible = [v - int(h) for v, h in zip(self.visible, hidden[1:], strict=True)]
        self.visible.append(seen)
        window[inner] = len(self.full)
        return True

    def _shadow(self, alpha: Field, top: int, left: int, rise: float) -> None:
        """Darken the ground by a soft copy of a silhouette, moved away from the lamp."""
        height, width = self.labels.shape
        pad = math.ceil(rise * 1.8) + 2
        grown = np.pad(alpha, pad)
        dx = round(-self.light[0] * rise)
        dy = round(-self.light[1] * rise)
        cast = ndimage.gaussian_filter(grown, max(0.45 * rise, 0.8), truncate=2.5)
        # A narrow one under the rim grounds the object, the wide one tells its height.
        touch = ndimage.uniform_filter(grown, 2 * max(round(0.006 * self.short), 1) + 1)
        for layer, ox, oy, strength in ((cast, dx, dy, 0.55), (touch, 0, 0, 0.35)):
            t, s = top - pad + oy, left - pad + ox
            r0, r1 = max(t, 0), min(t + grown.shape[0], height)
            c0, c1 = max(s, 0), min(s + grown.shape[1], width)
            if r0 < r1 and c0 < c1:
                piece = layer[r0 - t : r1 - t, c0 - s : c1 - s, None]
                self.image[r0:r1, c0:c1] *= 1 - np.float32(strength) * piece

    def sheet(self, sheet: Sheet, rng: np.random.Generator) -> bool:
        """Lay a piece of stuff; False if it would hide or show too little."""
        s = self.short
        reach = math.hypot(sheet.hx, sheet.hy) + 0.02
        height, width = self.labels.shape
        r0 = max(math.floor((sheet.cy - reach) * s), -8)
        r1 = min(math.ceil((sheet.cy + reach) * s), height + 8)
        c0 = max(math.floor((sheet.cx - reach) * s), -8)
        c1 = min(math.ceil((sheet.cx + reach) * s), width + 8)
        columns: Field = np.arange(c0, c1, dtype=np.float32)
        rows: Field = np.arange(r0, r1, dtype=np.float32)
        gx: Field = columns / np.float32(s) - np.float32(sheet.cx)
        gy: Field = rows / np.float32(s) - np.float32(sheet.cy)
        x, y = np.meshgrid(gx, gy)
        u, v = _turn(x, y, sheet.angle)
        px = 1 / s
        corner = {"wood": 0.05, "cloth": 0.008, "marble": 0.025, "slate": 0.006}.get(
            sheet.name, 0.006
        )
        edge = rounded_box(u, v, sheet.hx, sheet.hy, corner)
        if sheet.name == "slate":
            edge = edge + np.float32(0.006) * noise(u, v, 22.0, 22.0, rng)
        elif sheet.name == "cloth":
            edge = edge + np.float32(0.008) * noise(u, v, 3.0, 3.0, rng)
        rgb = TEXTURES[sheet.name](u, v, px, rng)
        thick = {"wood": 0.016, "marble": 0.014, "slate": 0.009}.get(sheet.name, 0.005)
        rim = np.clip(1 + edge / np.float32(max(thick * 0.7, 1.2 * px)), 0, 1)
        if sheet.name == "cloth":
            hem = np.abs(edge + np.float32(0.02)) - np.float32(0.002)
            rgb *= (1 - np.float32(0.22) * np.clip(0.5 - hem / np.float32(px), 0, 1))[..., None]
        else:
            # A bevel: bright where the edge faces the lamp, dark opposite.
            sy, sx = np.gradient(edge)
            facing = (sx * np.float32(self.light[0]) + sy * np.float32(self.light[1])) * s
            rgb *= (1 + np.float32(0.45) * rim * np.clip(facing, -1, 1))[..., None]
        alpha = np.clip(np.float32(0.5) - edge / np.float32(px), 0, 1)
        return self.stack(rgb, alpha, r0, c0, thick * s, _VISIBLE_STUFF)

    def thing(self, item: Placement, rng: np.random.Generator) -> bool:
        """Paint one thing; False if it would hide or show too little."""
        cx, cy = item.cx * self.short - 0.5, item.cy * self.short - 0.5
        ix, iy = round(cx), round(cy)
        radius = item.radius * self.short
        brush = Brush(radius, (cx - ix, cy - iy), item.angle, self.light, rng)
        if item.colour is None:
            _FOOD[item.name](brush)
        else:
            jitter = rng.uniform(0.94, 1.06) + rng.uniform(-0.03, 0.03, 3)
            r, g, b = (
                float(np.clip(c * j, 0, 1))
                for c, j in zip(COLOURS[item.colour], jitter, strict=True)
            )
            _WARE[item.name](brush, (r, g, b))
        top, left = iy - brush.half, ix - brush.half
        rise = max(_HEIGHT[item.name] * radius, 1.0)
        return self.stack(brush.rgb, brush.alpha, top, left, rise, _VISIBLE_THING)


def _turn(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return c * x + s * y, c * y - s * x


def _develop(
    image: NDArray[np.float32], light: Light, short: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Camera: fall-off of the light, exposure, white balance, slight blur and noise."""
    height, width = image.shape[:2]
    fall = rng.uniform(0.04, 0.14)
    gx = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(light[0] * fall)
    gy = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(light[1] * fall)
    warm = rng.normal(0, 0.025)
    gain = rng.uniform(0.88, 1.10) * np.array([1 + warm, 1.0, 1 - warm])
    image *= ((1 + gx[None, :]) + gy[:, None])[..., None] * gain.astype(np.float32)
    sigma = rng.uniform(0.0, 0.55) * short / 256
    if sigma > 0.25:
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0), truncate=2.0)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image += grain * np.float32(rng.uniform(0.003, 0.014))
    # A soft shoulder instead of a hard clip keeps detail in white ware.
    bright = np.maximum(image - np.float32(0.8), 0)
    image = np.minimum(image, np.float32(0.8)) + bright / (1 + np.float32(2.2) * bright)
    return (np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def render_scene(seed: int, *, height: int = 256, width: int = 256, pairs: Pairs = "all") -> Scene:
    """Render the tabletop of a seed; the same arguments give the same bytes.

    ``pairs`` limits the colours of coloured things: "train" never shows a held-out pair,
    "held_out" shows those only. Geometry is in units of the short side, at least 32 pixels.
    """
    if min(height, width) < _MIN_SIDE:
        raise ValueError(f"a scene needs sides of at least {_MIN_SIDE} pixels")
    if pairs not in ("all", "train", "held_out"):
        raise ValueError(f"pairs must be 'all', 'train' or 'held_out', not {pairs!r}")
    rng = np.random.default_rng(seed)
    azimuth = rng.uniform(0, 2 * math.pi)
    tilt = rng.uniform(0.55, 0.72)
    light = (tilt * math.cos(azimuth), tilt * math.sin(azimuth), math.sqrt(1 - tilt * tilt))
    short = float(min(height, width))
    canvas = _Canvas(height, width, light)
    ground, sheets = place_sheets(width / short, height / short, rng)
    items = place_things(width / short, height / short, pairs, rng)
    canvas.background(ground, rng)
    names: list[tuple[str, str | None, bool]] = [(ground, None, False)]
    names += [(sheet.name, None, False) for sheet in sheets if canvas.sheet(sheet, rng)]
    names += [(item.name, item.colour, True) for item in items if canvas.thing(item, rng)]
    for _ in range(_RETRIES):
        if sum(isthing for _, _, isthing in names) >= _MIN_THINGS:
            break
        extra = place_things(width / short, height / short, pairs, rng)
        names += [(i.name, i.colour, True) for i in extra[:1] if canvas.thing(i, rng)]
    segments = []
    for index, (name, colour, isthing) in enumerate(names, start=1):
        mask = canvas.labels == index
        phrase = f"{colour} {name}" if colour else name
        segments.append(
            SceneSegment(index, name, colour, phrase, isthing, int(mask.sum()), bounding_box(mask))
        )
    image = _develop(canvas.image, light, short, rng)
    return Scene(seed, image, canvas.labels, tuple(segments))
