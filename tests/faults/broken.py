"""Images that cannot be segmented, broken in ten ways."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image


def broken_images() -> dict[str, bytes]:
    """File name to content; each is refused for a reason of its own."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    png, jpeg, tiff = (encoded(noise, kind) for kind in ("PNG", "JPEG", "TIFF"))
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photo.png", png)
    return {
        "empty.jpg": b"",
        "nonsense.png": b"nonsense" * 100,
        "page.jpg": b"<!doctype html><title>404</title>",
        "cut-off.png": png[: len(png) // 2],
        "cut-off.jpg": jpeg[: len(jpeg) // 2],
        "flipped.png": bytes(flipped),
        "header-only.gif": b"GIF89a",
        "bomb.png": png_header(60_000, 60_000),
        "archive.png": archive.getvalue(),
        "offsets.tif": tiff[:4] + struct.pack("<I", 2**31) + tiff[8:],
    }


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is large, and has hardly any data."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
