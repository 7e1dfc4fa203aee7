"""What a caller of the Python API gives: images of any kind, words, and changed parameters."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ValidationError

from zeropan.errors import BadCategories, BadConfig, BadImage
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.images import load_image, picture_pixels, read_image_bytes, shown
from zeropan.segmentation.records import UInt8
from zeropan.tasks.work import ImageRef, image_digest

Picture = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""A path, an fsspec URL, a file's bytes, a Pillow image, or uint8 (H, W, 3) in RGB."""
Word = str | Category | Mapping[str, Any]
"""A word or phrase; or a category with a name and perhaps prompts and thresholds of its own."""


@dataclass(frozen=True, eq=False)
class GivenImage:
    """An image that is known by its bytes, and decoded once somebody wants its pixels."""

    ref: ImageRef
    name: str
    pixels: Callable[[], UInt8]


def given_image(image: Picture, max_pixels: int) -> GivenImage:
    """An image as a caller gives it; the bytes are read now, and decoded when they are wanted.

    Raises:
        BadImage: it is missing, too large, or of another type or shape.
        TransientError: a remote place failed in a way that another try may mend.
    """
    if isinstance(image, np.ndarray | Image.Image):
        width, height = (
            image.size if isinstance(image, Image.Image) else image.shape[1::-1] or (0, 0)
        )
        if width * height > max_pixels:
            raise BadImage(
                f"the given image has {width} x {height} pixels, more than the limit of "
                f"{max_pixels}; make it smaller"
            )
        pixels = picture_pixels(image) if isinstance(image, Image.Image) else _checked(image)
        # Such an image has no file whose bytes could name it.
        head = f"zeropan RGB {pixels.shape[0]} x {pixels.shape[1]}\n".encode()
        sha256 = hashlib.sha256(head + pixels.tobytes()).hexdigest()
        path = getattr(image, "filename", "") or ""
        return GivenImage(ImageRef(location="", sha256=sha256), _stem(str(path)), lambda: pixels)
    if isinstance(image, bytes | bytearray | memoryview):
        data, location = bytes(image), ""
    elif isinstance(image, str | os.PathLike):
        location = os.fspath(image)
        data = read_image_bytes(location)
    else:
        raise BadImage(
            f"image: expected a path, a URL, bytes, a Pillow image or uint8 (H, W, 3), got "
            f"{type(image).__name__}"
        )
    return GivenImage(
        ImageRef(location=location, sha256=image_digest(data)),
        _stem(location),
        _decoded_once(data, shown(location) or None, max_pixels),
    )


def _decoded_once(data: bytes, name: str | None, max_pixels: int) -> Callable[[], UInt8]:
    known: list[UInt8] = []

    def pixels() -> UInt8:
        if not known:
            known.append(load_image(data, name=name, max_pixels=max_pixels))
        return known[0]

    return pixels


def _checked(pixels: np.ndarray) -> UInt8:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadImage(
            f"image: expected (H, W, 3) uint8, got {pixels.shape} {pixels.dtype.name}; convert it, "
            "or give its file"
        )
    return np.array(pixels, order="C")


def _stem(location: str) -> str:
    return Path(location.partition("?")[0].rstrip("/")).stem or "image"


def given_words(things: str | Iterable[Word], stuff: str | Iterable[Word]) -> Categories:
    """The checked categories, in the order given.

    Raises:
        BadCategories: no word at all, a word twice, or a category that cannot be understood.
    """
    found = Categories.checked(_listed(things, isthing=True), _listed(stuff, isthing=False))
    if not found.ordered:
        raise BadCategories("no word was given; name at least one thing or one stuff word")
    return found


def _listed(words: str | Iterable[Word], *, isthing: bool) -> list[Category]:
    listed: Iterable[Word] = words.split(",") if isinstance(words, str) else words
    return [_category(word, isthing) for word in listed if not _blank(word)]


def _blank(word: Word) -> bool:
    return isinstance(word, str) and not word.strip()


def _category(word: Word, isthing: bool) -> Category:
    if isinstance(word, Category):
        return word
    if isinstance(word, str):
        return Category(name=" ".join(word.split()), isthing=isthing)
    try:
        return Category.model_validate({"isthing": isthing, **word})
    except (ValidationError, TypeError) as error:
        raise BadCategories(f"category {word!r} cannot be used: {_said(error)}") from error


def changed_config(
    config: PipelineConfig, changes: Mapping[str, Mapping[str, Any]]
) -> PipelineConfig:
    """A configuration with some parameters changed, by step and name.

    Raises:
        BadConfig: a step or parameter is unknown, or a value out of range.
    """
    values = config.model_dump()
    for stage, part in changes.items():
        if stage not in values:
            raise BadConfig(f"step {stage!r} is not known; use one of {', '.join(values)}")
        if not isinstance(part, Mapping):
            raise BadConfig(f"{stage}: expected parameters by name, got {type(part).__name__}")
        values[stage] |= part
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError as error:
        raise BadConfig(f"config cannot be used: {_said(error)}") from error


def _said(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
