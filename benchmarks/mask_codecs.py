"""Ways to keep masks in Zarr, compared on the masks of rendered scenes.

    python -m benchmarks.mask_codecs [--scenes N] [--size PIXELS]

Each layout writes and reads the same masks in memory, in the same run; times are medians, as a
ratio to the layout that the store uses.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import zarr
from zarr.buffer.cpu import Buffer
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.storage import MemoryStore

Masks = np.ndarray[Any, np.dtype[np.bool_]]


def scene_masks(scenes: int, size: int) -> list[Masks]:
    """Bool (N, size, size) of each of the first held-out scenes."""
    from zeropan.scenes.render import render_scene

    return [render_scene(seed, height=size, width=size).masks() for seed in range(scenes)]


def packed(masks: Masks) -> dict[str, Buffer]:
    """The store's layout: eight pixels to a byte, one chunk, Zstandard."""
    data = np.packbits(masks, axis=-1)
    return _write(data, chunks=data.shape, codec=ZstdCodec(level=3))


def packed_blosc(masks: Masks) -> dict[str, Buffer]:
    """Packed, one chunk, Blosc with bit shuffle."""
    data = np.packbits(masks, axis=-1)
    codec = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    return _write(data, chunks=data.shape, codec=codec)


def packed_per_mask(masks: Masks) -> dict[str, Buffer]:
    """Packed, one chunk a mask."""
    data = np.packbits(masks, axis=-1)
    return _write(data, chunks=(1, *data.shape[1:]), codec=ZstdCodec(level=3))


def plain(masks: Masks) -> dict[str, Buffer]:
    """A byte a pixel, one chunk a mask."""
    return _write(masks, chunks=(1, *masks.shape[1:]), codec=ZstdCodec(level=3))


LAYOUTS: dict[str, Callable[[Masks], dict[str, Buffer]]] = {
    "packed, one chunk, zstd 3 (the store's)": packed,
    "packed, one chunk, blosc zstd bitshuffle": packed_blosc,
    "packed, a chunk a mask, zstd 3": packed_per_mask,
    "bool, a chunk a mask, zstd 3": plain,
}


def _write(data: Any, *, chunks: tuple[int, ...], codec: Any) -> dict[str, Buffer]:
    contents: dict[str, Buffer] = {}
    store = MemoryStore(store_dict=contents)
    zarr.create_array(store, data=data, chunks=chunks, compressors=codec, zarr_format=3)
    return contents


def read(contents: dict[str, Buffer], width: int) -> Masks:
    """The masks back, from any layout."""
    data = np.asarray(zarr.open_array(MemoryStore(store_dict=contents), mode="r")[...])
    if data.dtype == np.uint8:
        return np.unpackbits(data, axis=-1, count=width).astype(np.bool_)
    return data


def measure(layout: Callable[[Masks], dict[str, Buffer]], scenes: list[Masks]) -> list[float]:
    """Mean bytes and files of a scene, and median write and read seconds."""
    sizes, files, writes, reads = [], [], [], []
    for masks in scenes:
        started = time.perf_counter()
        contents = layout(masks)
        written = time.perf_counter()
        back = read(contents, masks.shape[2])
        reads.append(time.perf_counter() - written)
        writes.append(written - started)
        if not np.array_equal(back, masks):
            raise AssertionError("the masks did not come back as they were")
        sizes.append(sum(len(buffer) for buffer in contents.values()))
        files.append(len(contents))
    return [
        statistics.mean(sizes),
        statistics.mean(files),
        statistics.median(writes),
        statistics.median(reads),
    ]


def main() -> None:
    """Measure and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--size", type=int, default=768)
    given = parser.parse_args()
    scenes = scene_masks(given.scenes, given.size)
    for layout in LAYOUTS.values():
        measure(layout, scenes[:2])
    found = {name: measure(layout, scenes) for name, layout in LAYOUTS.items()}
    base = found[next(iter(LAYOUTS))]
    print("| layout | bytes | files | write, ratio | read, ratio |\n|---|---|---|---|---|")
    for name, (size, files, write, back) in found.items():
        print(
            f"| {name} | {size:,.0f} | {files:.0f} | {write / base[2]:.2f} | {back / base[3]:.2f} |"
        )


if __name__ == "__main__":
    main()
