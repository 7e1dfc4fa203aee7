"""The files of this repository, as git knows them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
LINKED = ("flows", "tasks", "storage")
"""Folders of the top level that are linked into the package."""


def tracked(*below: str) -> list[PurePosixPath]:
    """Paths of tracked files below these folders, links as they are; of all without any."""
    listed = subprocess.check_output(["git", "ls-files", "-z", "--", *below], cwd=ROOT, text=True)
    found = [PurePosixPath(name) for name in listed.split("\0") if name]
    return [path for path in found if (ROOT / path).is_symlink() or (ROOT / path).is_file()]


def installed() -> dict[str, Path]:
    """Name below site-packages → file, of all that the package holds when it is installed."""
    inside = {
        str(path): ROOT / path for path in tracked("zeropan") if not (ROOT / path).is_symlink()
    }
    return inside | {f"zeropan/{path}": ROOT / path for path in tracked(*LINKED)}


def copy_to(folder: Path) -> Path:
    """Copy all tracked files, links as links."""
    for path in tracked():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target, follow_symlinks=False)
    return folder
