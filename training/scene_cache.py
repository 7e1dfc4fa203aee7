"""Rendered scenes on disk: two memory-mapped arrays and a list of segments.

A cache folder holds images.npy (uint8 (N, S, S, 3)), labels.npy (uint8 (N, S, S), segment ids)
and segments.json (per scene a list of dicts). It is rendered in shards, each written aside and
renamed, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import multiprocessing
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from zeropan.choices import Pairs
from zeropan.machine.files import write_whole
from zeropan.scenes.render import TRAINING_SEED_START, render_scene

_LOG = logging.getLogger(__name__)
_SHARD = 500
_KEYS = ("id", "name", "colour", "phrase", "isthing", "bbox_xyxy", "area")


@dataclass(frozen=True)
class SceneCache:
    """Scenes of consecutive seeds; the arrays are memory-mapped and read-only.

    ``images`` is uint8 (N, S, S, 3), ``labels`` uint8 (N, S, S) with ids from 1; ``segments[i]``
    lists the segments of scene i as dicts with id, name, colour, phrase, isthing, bbox_xyxy, area.
    """

    seed_start: int
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    segments: list[list[dict[str, Any]]]

    def __len__(self) -> int:
        return len(self.segments)


@dataclass(frozen=True)
class _Shard:
    folder: Path
    index: int
    seed_start: int
    count: int
    size: int
    pairs: Pairs

    def file(self, kind: str) -> Path:
        return self.folder / f"{self.index:05d}.{kind}"


def _write_array(path: Path, array: NDArray[np.uint8]) -> None:
    stream = io.BytesIO()
    np.save(stream, array)
    write_whole(path, stream.getvalue())


def _write_json(path: Path, value: object) -> None:
    write_whole(path, json.dumps(value).encode())


def _render_shard(shard: _Shard) -> int:
    """Render one shard; its segments are written last and so mark it as complete."""
    size = shard.size
    images = np.empty((shard.count, size, size, 3), dtype=np.uint8)
    labels = np.empty((shard.count, size, size), dtype=np.uint8)
    segments = []
    for k in range(shard.count):
        scene = render_scene(shard.seed_start + k, height=size, width=size, pairs=shard.pairs)
        images[k] = scene.image
        labels[k] = scene.label_map.astype(np.uint8)
        rows = [asdict(segment) for segment in scene.segments]
        segments.append([{key: row[key] for key in _KEYS} for row in rows])
    _write_array(shard.file("images.npy"), images)
    _write_array(shard.file("labels.npy"), labels)
    _write_json(shard.file("segments.json"), segments)
    return shard.count


def open_cache(cache_dir: Path) -> SceneCache:
    """Open a finished cache; FileNotFoundError where there is none."""
    settings = json.loads((cache_dir / "settings.json").read_text())
    segments = json.loads((cache_dir / "segments.json").read_text())
    return SceneCache(
        int(settings["seed_start"]),
        cast("NDArray[np.uint8]", np.load(cache_dir / "images.npy", mmap_mode="r")),
        cast("NDArray[np.uint8]", np.load(cache_dir / "labels.npy", mmap_mode="r")),
        segments,
    )


def _join(cache_dir: Path, shards: Sequence[_Shard], count: int, size: int) -> None:
    """Concatenate complete shards; the segments come last and complete the cache."""
    for kind, shape in (("images", (count, size, size, 3)), ("labels", (count, size, size))):
        # In place, as these may not fit in memory; nobody looks at them before the segments.
        whole = open_memmap(cache_dir / f"{kind}.npy", mode="w+", dtype=np.uint8, shape=shape)
        at = 0
        for shard in shards:
            whole[at : at + shard.count] = np.load(shard.file(f"{kind}.npy"), mmap_mode="r")
            at += shard.count
        whole.flush()
    segments = [row for s in shards for row in json.loads(s.file("segments.json").read_text())]
    _write_json(cache_dir / "segments.json", segments)


def load_or_render(
    cache_dir: Path,
    *,
    seed_start: int,
    count: int,
    size: int,
    pairs: Pairs = "train",
    workers: int = 2,
) -> SceneCache:
    """Open the cache of seeds seed_start .. seed_start + count - 1, rendering what is missing.

    ValueError if the folder holds a cache made with other settings.
    """
    if count < 1 or workers < 1:
        raise ValueError("count and workers must be positive")
    settings = {"seed_start": seed_start, "count": count, "size": size, "pairs": pairs}
    cache_dir.mkdir(parents=True, exist_ok=True)
    about = cache_dir / "settings.json"
    if about.exists() and json.loads(about.read_text()) != settings:
        raise ValueError(f"{cache_dir} holds a cache made with other settings")
    _write_json(about, settings)
    if (cache_dir / "segments.json").exists():
        return open_cache(cache_dir)
    folder = cache_dir / "shards"
    folder.mkdir(exist_ok=True)
    shards = [
        _Shard(folder, k, seed_start + first, min(_SHARD, count - first), size, pairs)
        for k, first in enumerate(range(0, count, _SHARD))
    ]
    missing = [shard for shard in shards if not shard.file("segments.json").exists()]
    done = count - sum(shard.count for shard in missing)
    started, before = time.monotonic(), done
    with multiprocessing.get_context("spawn").Pool(min(workers, max(len(missing), 1))) as pool:
        for rendered in pool.imap_unordered(_render_shard, missing):
            done += rendered
            rate = (done - before) / max(time.monotonic() - started, 1e-6)
            _LOG.info("rendered %d of %d scenes, %.1f a second", done, count, rate)
    _join(cache_dir, shards, count, size)
    shutil.rmtree(folder)
    return open_cache(cache_dir)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: render a cache of training scenes."""
    parser = argparse.ArgumentParser(description="Render a cache of scenes.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed-start", type=int, default=TRAINING_SEED_START)
    parser.add_argument("--pairs", choices=("all", "train", "held_out"), default="train")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    cache = load_or_render(
        given.out,
        seed_start=given.seed_start,
        count=given.count,
        size=given.size,
        pairs=given.pairs,
        workers=given.workers,
    )
    _LOG.info("%d scenes in %s", len(cache), given.out)


if __name__ == "__main__":
    main()
