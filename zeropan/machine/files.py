"""Local files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file aside and give it its name in one step; a reader never sees half of it.

    It outlives the process's death, not a loss of power: nothing is forced to the disk.

    Args:
        path: its folder must be there.
        data: the file's bytes.

    Raises:
        OSError: the place cannot be written to, or is full; an older file of that name stays.
    """
    # Not tempfile: its files are for their owner alone.
    aside = path.with_name(f".{path.name[:80]}-{uuid.uuid4().hex}")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
