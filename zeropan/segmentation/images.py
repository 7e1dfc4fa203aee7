"""Image files of any kind become uint8 RGB arrays, or one clear sentence about what is wrong."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from io import BytesIO
from pathlib import Path
from typing import IO

import fsspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from zeropan.errors import BadImage, TransientError
from zeropan.segmentation.records import UInt8

DEFAULT_MAX_PIXELS = 100_000_000
"""Images with more pixels than this are refused before they are decoded."""

_ORIENTATION_TAG = 0x0112
_FORMATS = "PNG, JPEG, WebP, TIFF, GIF or BMP"

_log = logging.getLogger(__name__)

# Filters of warnings belong to the process: two threads that change them at once could leave
# them changed for good.
_WARNINGS_LOCK = threading.Lock()


def read_image_bytes(location: str | Path) -> bytes:
    """The bytes of a local file or of an fsspec URL such as "s3://bucket/cup.jpg".

    Raises:
        BadImage: nothing is there, it is a folder, it is empty, or it may not be read.
        TransientError: a remote place failed in a way that another try may mend.
    """
    text = str(location)
    data = _read_url(text) if "://" in text else _read_file(Path(text))
    if not data:
        raise BadImage(f"{shown(text)} is empty (0 bytes); give an image file that has content")
    return data


def is_there(url: str) -> bool:
    """Whether an fsspec URL names something; where its place does not say, it is taken to."""
    try:
        fs, path = fsspec.core.url_to_fs(url)
        return bool(fs.exists(path))
    except Exception as error:  # Reading it will say it better than we could here.
        _log.debug("%s was not asked for: %s", shown(url), type(error).__name__)
        return True


def shown(location: str) -> str:
    """A location as messages may show it: without a URL's user, password and query."""
    if "://" not in location:
        return location
    return without_user(location.partition("?")[0])


def without_user(text: str) -> str:
    """A text without the user and the password of any address in it."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def load_image(
    source: str | Path | bytes, *, name: str | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> UInt8:
    """Decode an image as a viewer would show it, upright and without transparency.

    Any format that Pillow reads; the first frame of several. EXIF orientation is applied, alpha
    is laid over white. Grey values of 16 bits are scaled by 1/257, other integers and floats as
    `to_eight_bits` says.

    Args:
        source: a path, an fsspec URL, or the file's bytes.
        name: what messages call the image; by default the path.
        max_pixels: larger images are refused before they are decoded.

    Returns:
        uint8 (H, W, 3), RGB, owned by the caller.

    Raises:
        BadImage: missing, empty, truncated, no image, or too large.
        TransientError: a remote place failed in a way that another try may mend.
    """
    if isinstance(source, bytes):
        name, data = name or "the given image", source
        if not data:
            raise BadImage(f"{name} is empty (0 bytes); give an image file that has content")
    else:
        name, data = name or shown(str(source)), read_image_bytes(source)
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = _decode(data, name, max_pixels)
    for warning in caught:
        _log.info("%s: %s", name, warning.message)
    return image


def picture_pixels(image: Image.Image) -> UInt8:
    """An opened or made Pillow image as `load_image` would decode it: upright, over white.

    Returns:
        uint8 (H, W, 3), RGB, owned by the caller.

    Raises:
        BadImage: it has no pixels, or its file is damaged.
    """
    if 0 in image.size:
        raise BadImage("the given image has no pixels; give another image")
    try:
        image.load()
        orientation = _orientation(image)
        rgb = _to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:  # Decoders raise anything at all on damaged bytes.
        raise BadImage(_damaged("the given image", error)) from error
    return np.array(upright(rgb, orientation), dtype=np.uint8, order="C")


def to_eight_bits(grey: NDArray[np.generic]) -> UInt8:
    """Grey values of any number type as uint8.

    uint16 is scaled by 1/257. Other integers are taken for 8 bits if they lie in 0 to 255 and for
    16 bits if in 0 to 65535; floats for 0 to 1 or 0 to 255 if they lie there; anything else is
    stretched from its least to its greatest value. NaN becomes 0, infinities the ends.
    """
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if grey.dtype.newbyteorder("=") == np.uint16:
        low, span = 0.0, 65535.0
    elif low >= 0 and high <= 1 and np.issubdtype(grey.dtype, np.floating):
        low, span = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, span = 0.0, 255.0
    elif low >= 0 and high <= 65535 and np.issubdtype(grey.dtype, np.integer):
        low, span = 0.0, 65535.0
    else:
        span = high - low or 1.0
    scaled: UInt8 = np.rint(np.clip((values - low) / span, 0, 1) * 255).astype(np.uint8)
    return scaled


def upright(image: UInt8, orientation: int) -> UInt8:
    """Turn an array (H, W, 3) as its EXIF orientation, 1 to 8, says; others change nothing."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def check_header(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
    """Look at the beginning of a local file: whether it is there, an image, and not too large.

    Raises:
        BadImage: it is missing, empty, no image, or too large.
    """
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise BadImage(f"{path} is empty (0 bytes); give an image file that has content")
            file.seek(0)
            with _WARNINGS_LOCK, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _opened(file, str(path), max_pixels).close()
    except OSError as error:
        raise _unreadable(path, error) from error


def _decode(data: bytes, name: str, max_pixels: int) -> UInt8:
    with _opened(BytesIO(data), name, max_pixels) as image:
        try:
            image.load()
            # Read after loading: some of Pillow's decoders turn the image, and then drop the tag.
            orientation = _orientation(image)
            rgb = _to_rgb(image)
        except MemoryError:
            raise
        except Exception as error:
            raise BadImage(_damaged(name, error)) from error
    return np.array(upright(rgb, orientation), dtype=np.uint8, order="C")


def _opened(file: IO[bytes], name: str, max_pixels: int) -> Image.Image:
    """An image whose header has been read and found good; its pixels are not decoded yet."""
    try:
        image = Image.open(file)
    except UnidentifiedImageError as error:
        raise BadImage(
            f"{name} is not an image that can be read; give a {_FORMATS} file"
        ) from error
    except Image.DecompressionBombError as error:
        raise BadImage(_too_large(name, "far more pixels", max_pixels)) from error
    except MemoryError:
        raise
    except Exception as error:  # Decoders raise anything at all on damaged bytes.
        raise BadImage(_damaged(name, error)) from error
    width, height = image.size
    if 0 < width * height <= max_pixels:
        return image
    image.close()
    if width * height == 0:
        raise BadImage(f"{name} has no pixels ({width} x {height}); give another image")
    raise BadImage(_too_large(name, f"{width} x {height} pixels", max_pixels))


def _to_rgb(image: Image.Image) -> UInt8:
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(to_eight_bits(np.asarray(image))[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, coloured)
    return np.asarray(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # A damaged note on the camera is no reason to refuse the picture.
        _log.info("EXIF data cannot be read; the image is taken to be upright")
        return 1


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BadImage:
    if isinstance(error, FileNotFoundError):
        return BadImage(f"{path} does not exist; check the path")
    if isinstance(error, IsADirectoryError):
        return BadImage(f"{path} is a folder; name an image file in it")
    if isinstance(error, PermissionError):
        return BadImage(f"{path} may not be read; change its permissions")
    return BadImage(f"{path} cannot be read ({error}); check the path and the disk")


def _read_url(url: str) -> bytes:
    name = shown(url)
    try:
        with fsspec.open(url, "rb") as file:
            data: bytes = file.read()
        return data
    except FileNotFoundError as error:
        raise BadImage(f"{name} does not exist; check the address") from error
    except IsADirectoryError as error:
        raise BadImage(f"{name} is a folder; name an image file in it") from error
    except PermissionError as error:
        raise BadImage(f"{name} may not be read; check your credentials") from error
    except (ImportError, ValueError) as error:
        raise BadImage(
            f"{name} is of a kind that cannot be opened here ({error}); install the fsspec package "
            "for it or give a local file"
        ) from error
    except Exception as error:  # Every remote file system has network errors of its own.
        raise TransientError(
            f"{name} could not be read ({type(error).__name__}: {error}); try again"
        ) from error


def _too_large(name: str, size: str, max_pixels: int) -> str:
    return f"{name} has {size}, more than the limit of {max_pixels}; make it smaller"


def _damaged(name: str, error: Exception) -> str:
    reason = str(error) or type(error).__name__
    return f"{name} is damaged or cut off ({reason}); copy or export it again"
