"""The values that pass between the steps: frozen dataclasses that validate themselves once.

Frames: every coordinate is in pixels of the original image, x to the right and y down, pixel
(0, 0) covering [0, 1) x [0, 1), unless a field says otherwise. H and W are the original image's.

Records know nothing of storage. A store may write any record generically: array fields as arrays,
with the axis names of `AXES`, every other field as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from zeropan.errors import RecordError

Float32 = NDArray[np.float32]
Float16 = NDArray[np.float16]
Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]
UInt8 = NDArray[np.uint8]


def _expect(field: str, array: object, shape: tuple[int | None, ...], dtype: type) -> None:
    """Raise RecordError unless `array` has this shape (None: any length) and dtype."""
    wanted = f"({', '.join('n' if n is None else str(n) for n in shape)}) {np.dtype(dtype).name}"
    if not isinstance(array, np.ndarray):
        raise RecordError(f"{field}: expected {wanted}, got {type(array).__name__}")
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        raise RecordError(f"{field}: expected {wanted}, got {array.shape} {array.dtype.name}")
    array.setflags(write=False)


def _expect_size(field: str, size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise RecordError(f"{field}: expected (height, width) of at least 1, got {size}")


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """A promptable segmenter's image features; no threshold has touched them."""

    AXES: ClassVar[dict[str, tuple[str, ...]]] = {"features": ("channel", "grid_y", "grid_x")}
    HALF_PRECISION: ClassVar[frozenset[str]] = frozenset({"features"})
    """`pipeline` rounds these to 11 bits of mantissa, and a store keeps no more where that loses
    nothing: benchmarks/half_precision.py measures that masks stay the same."""

    features: Float32
    """float32 (C, h, w): the encoder's output for the padded input square."""
    input_size: tuple[int, int]
    """(height, width) of the resized image inside the padded square, before padding."""
    image_size: tuple[int, int]
    """(H, W) of the original image."""

    def __post_init__(self) -> None:
        _expect("features", self.features, (None, None, None), np.float32)
        _expect_size("input_size", self.input_size)
        _expect_size("image_size", self.image_size)


@dataclass(frozen=True, eq=False)
class GroundedBoxes:
    """A text-conditioned detector's raw boxes and token scores; no threshold has touched them.

    Long lists of prompts are split into P captions ("passes"); each pass has Q queries and at
    most L caption tokens.
    """

    AXES: ClassVar[dict[str, tuple[str, ...]]] = {
        "boxes_xyxy": ("caption", "query", "corner"),
        "token_scores": ("caption", "query", "token"),
        "token_prompt": ("caption", "token"),
    }

    boxes_xyxy: Float32
    """float32 (P, Q, 4): x0, y0, x1, y1 in pixels of the original image, clipped to it."""
    token_scores: Float32
    """float32 (P, Q, L) in [0, 1]: sigmoid score of each caption token; 0 for padding."""
    token_prompt: Int32
    """int32 (P, L): index of the prompt whose character span holds the token; -1 for none."""
    prompts: tuple[str, ...]
    """The prompts that were asked, in order; `token_prompt` indexes this."""
    image_size: tuple[int, int]
    """(H, W) of the original image."""

    def __post_init__(self) -> None:
        _expect("boxes_xyxy", self.boxes_xyxy, (None, None, 4), np.float32)
        passes, queries = self.boxes_xyxy.shape[:2]
        _expect("token_scores", self.token_scores, (passes, queries, None), np.float32)
        _expect("token_prompt", self.token_prompt, (passes, self.token_scores.shape[2]), np.int32)
        _expect_size("image_size", self.image_size)
        if self.token_prompt.size and int(self.token_prompt.max()) >= len(self.prompts):
            raise RecordError(
                f"token_prompt: expected indices below {len(self.prompts)}, "
                f"got {int(self.token_prompt.max())}"
            )


@dataclass(frozen=True, eq=False)
class StuffLogits:
    """A coarse text segmenter's scores; no threshold has touched them."""

    AXES: ClassVar[dict[str, tuple[str, ...]]] = {"logits": ("prompt", "grid_y", "grid_x")}
    HALF_PRECISION: ClassVar[frozenset[str]] = frozenset({"logits"})

    logits: Float32
    """float32 (C, h, w), one plane a prompt, on a grid stretched over the original image
    (padding already removed): cell (i, j) covers rows [i, i+1) * H / h, columns [j, j+1) * W / w.
    The probability of a prompt is sigmoid(logit)."""
    prompts: tuple[str, ...]
    """The C prompts that were asked, in order."""
    image_size: tuple[int, int]
    """(H, W) of the original image."""

    def __post_init__(self) -> None:
        _expect("logits", self.logits, (len(self.prompts), None, None), np.float32)
        _expect_size("image_size", self.image_size)

    def split(self) -> tuple[StuffLogits, ...]:
        """One record for each prompt."""
        return tuple(
            StuffLogits(np.array(self.logits[i : i + 1]), (prompt,), self.image_size)
            for i, prompt in enumerate(self.prompts)
        )

    @classmethod
    def joined(cls, parts: Sequence[StuffLogits], image_size: tuple[int, int]) -> StuffLogits:
        """The parts' planes in their order; without parts, no plane of an image of (H, W).

        Raises:
            RecordError: a part is of another image size or has another grid.
        """
        for part in parts:
            expected = (image_size, parts[0].logits.shape[1:])
            if (part.image_size, part.logits.shape[1:]) != expected:
                raise RecordError(
                    f"logits: expected an image and a grid of {expected[0]} and {expected[1]}, "
                    f"got {part.image_size} and {part.logits.shape[1:]}; join words of one image"
                )
        planes = [part.logits for part in parts] or [np.zeros((0, 1, 1), dtype=np.float32)]
        prompts = tuple(prompt for part in parts for prompt in part.prompts)
        return cls(np.concatenate(planes), prompts, image_size)


@dataclass(frozen=True, eq=False)
class ThingMasks:
    """Step 1: the instances of thing categories, best score first. Masks may overlap."""

    AXES: ClassVar[dict[str, tuple[str, ...]]] = {
        "boxes_xyxy": ("instance", "corner"),
        "masks": ("instance", "y", "x"),
        "scores": ("instance",),
        "mask_quality": ("instance",),
        "category_ids": ("instance",),
    }

    boxes_xyxy: Float32
    """float32 (N, 4), pixels of the original image."""
    masks: Bool
    """bool (N, H, W)."""
    scores: Float32
    """float32 (N,) in [0, 1]: the detector's score of the category."""
    mask_quality: Float32
    """float32 (N,): the segmenter's own estimate of the mask's IoU."""
    category_ids: Int32
    """int32 (N,): ids of thing categories."""

    def __post_init__(self) -> None:
        _expect("masks", self.masks, (None, None, None), np.bool_)
        count = self.masks.shape[0]
        _expect("boxes_xyxy", self.boxes_xyxy, (count, 4), np.float32)
        _expect("scores", self.scores, (count,), np.float32)
        _expect("mask_quality", self.mask_quality, (count,), np.float32)
        _expect("category_ids", self.category_ids, (count,), np.int32)


@dataclass(frozen=True, eq=False)
class StuffRegions:
    """Step 2: coarse regions of stuff, with every pixel of a thing taken out."""

    AXES: ClassVar[dict[str, tuple[str, ...]]] = {"label_map": ("y", "x"), "scores": ("y", "x")}

    label_map: Int32
    """int32 (H, W): the stuff category's id, 0 where no stuff word scores above the background."""
    scores: Float16
    """float16 (H, W) in [0, 1]: the winning word's probability, 0 where label_map is 0."""

    def __post_init__(self) -> None:
        _expect("label_map", self.label_map, (None, None), np.int32)
        _expect("scores", self.scores, self.label_map.shape, np.float16)


@dataclass(frozen=True, eq=False)
class StuffMasks:
    """Step 3: one refined mask for each stuff category that has a region. Masks may overlap."""

    AXES: ClassVar[dict[str, tuple[str, ...]]] = {
        "masks": ("segment", "y", "x"),
        "scores": ("segment",),
        "category_ids": ("segment",),
        "points_xy": ("point", "coordinate"),
        "point_segment": ("point",),
    }

    masks: Bool
    """bool (S, H, W)."""
    scores: Float32
    """float32 (S,) in [0, 1]: the mean probability of the word over its coarse region."""
    category_ids: Int32
    """int32 (S,): ids of stuff categories."""
    points_xy: Float32
    """float32 (M, 2): the prompts that were sampled, x and y in pixels of the original image."""
    point_segment: Int32
    """int32 (M,): index of the segment that a point prompted."""

    def __post_init__(self) -> None:
        _expect("masks", self.masks, (None, None, None), np.bool_)
        count = self.masks.shape[0]
        _expect("scores", self.scores, (count,), np.float32)
        _expect("category_ids", self.category_ids, (count,), np.int32)
        _expect("points_xy", self.points_xy, (None, 2), np.float32)
        _expect("point_segment", self.point_segment, (self.points_xy.shape[0],), np.int32)


@dataclass(frozen=True)
class SegmentInfo:
    """One segment of a panoptic label map, after COCO's `segments_info`."""

    id: int
    """The value of the segment's pixels in the label map; at least 1."""
    category_id: int
    isthing: bool
    area: int
    """Pixels."""
    bbox_xywh: tuple[int, int, int, int]
    """The tight box around the segment's pixels: x, y, width, height."""
    score: float
    """In [0, 1]: the detector's score for things, the coarse segmenter's for stuff."""


@dataclass(frozen=True, eq=False)
class Panoptic:
    """Step 4: one label for every pixel."""

    AXES: ClassVar[dict[str, tuple[str, ...]]] = {"label_map": ("y", "x")}

    label_map: Int32
    """int32 (H, W): the segment's id, 0 where nothing is labelled."""
    segments_info: tuple[SegmentInfo, ...]
    """Every id of the label map but 0, each once, in ascending order."""

    def __post_init__(self) -> None:
        _expect("label_map", self.label_map, (None, None), np.int32)
        ids, areas = np.unique(self.label_map[self.label_map != 0], return_counts=True)
        expected = dict(zip(ids.tolist(), areas.tolist(), strict=True))
        actual = {segment.id: segment.area for segment in self.segments_info}
        if actual != expected or len(actual) != len(self.segments_info):
            raise RecordError(
                f"segments_info: expected the label map's ids and areas {expected}, got {actual}"
            )


Record = (
    ImageEmbedding | GroundedBoxes | StuffLogits | ThingMasks | StuffRegions | StuffMasks | Panoptic
)

R = TypeVar("R", bound=Record)


def rounded(record: R) -> R:
    """The record with its HALF_PRECISION fields rounded to what float16 can hold.

    So that what is computed with is what a store keeps. A field with a value beyond half
    precision's range stays as it is; the dtype stays float32.
    """
    names: frozenset[str] = getattr(record, "HALF_PRECISION", frozenset())
    changes: dict[str, Any] = {}
    for name in names:
        values = getattr(record, name)
        if np.abs(values).max(initial=0) <= np.finfo(np.float16).max:
            changes[name] = values.astype(np.float16).astype(np.float32)
    return replace(record, **changes) if changes else record
