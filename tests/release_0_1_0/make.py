"""Makes home.tar.xz, a small home of release 0.1.0, with that release's own command.

    git worktree add ../zeropan-0.1.0 b3c8c9e
    cd ../zeropan-0.1.0
    PYTHONPATH=$PWD .../python .../tests/release_0_1_0/make.py

The interpreter is that of an environment with the dependencies. README.md says what is made.
"""

from __future__ import annotations

import io
import lzma
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

COMMIT = "b3c8c9e551912675b322cd35580faca4aec90573"
ROOT = Path("/tmp/zeropan-0.1.0")
"""Where everything is made: a path that says nothing of the machine, for it is recorded."""
ARCHIVE = Path(__file__).with_name("home.tar.xz")
LIMIT = 2_000_000
"""Bytes that the archive must stay below."""

FIRST_SEED, IMAGES = 37, 3
WORDS = (
    "--things", "cup, plate, bowl, egg, lemon, tomato, cookie, spoon",
    "--stuff", "wood, marble, bamboo mat",
)  # fmt: skip
FOLDER_THRESHOLD = "0.9"

LEFT_OUT = (
    "home/pictures/*",  # A cache of what is in mlartifacts.
    "home/mlartifacts/*/artifacts/images/*.png",  # Three megabytes; the small .webp stay.
    "home/seen.db*",  # Inodes and times of the files of one machine.
    "home/store/.leases/*",
    "*.lock",
    "mlruns/*",
)


def main() -> None:
    worktree = Path.cwd()
    _refuse_another_release(worktree)
    if ROOT.exists():
        raise SystemExit(f"{ROOT} is there already; remove it")
    ROOT.mkdir()
    try:
        _make(worktree)
        _settle(ROOT / "home" / "mlflow.db")
        size = _pack()
    finally:
        shutil.rmtree(ROOT)
    sys.stdout.write(f"{ARCHIVE.name}: {size:,} bytes\n")


def _refuse_another_release(worktree: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(worktree), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    if git("rev-parse", "HEAD") != COMMIT or git("status", "--porcelain", "-uno"):
        raise SystemExit(f"run this in an unchanged worktree of {COMMIT[:7]}")


def _make(worktree: Path) -> None:
    """One image in full and a folder of three, the larger artifacts of two of them removed."""
    home, scenes = ("--home", str(ROOT / "home")), ROOT / "scenes"
    images = scenes / "images"
    with tempfile.TemporaryDirectory() as prefect:

        def zeropan(*arguments: str) -> str:
            # Not in the worktree's folder: python -m would look there first, wherever it is.
            return subprocess.run(
                [sys.executable, "-m", "flows.cli", *arguments],
                cwd=ROOT, env=_environment(worktree, Path(prefect)),
                stdout=subprocess.PIPE, text=True, check=True,
            ).stdout  # fmt: skip

        zeropan(
            "scenes", "export", str(scenes), "--first-seed", str(FIRST_SEED),
            "--count", str(IMAGES), "--height", "96", "--width", "128",
        )  # fmt: skip
        threshold = f"things.box_threshold={FOLDER_THRESHOLD}"
        folder = zeropan(
            "run", str(images), *WORDS, "--set", threshold, "--pictures", "0", "--json", *home
        )
        stages = ("embed_image", "ground_things", "score_stuff")
        named = (part for stage in stages for part in ("--stage", stage))
        zeropan("store", "prune", "--older-than", "0", *named, *home)
        first = images / f"scene-{FIRST_SEED:06d}.png"
        one = zeropan("run", str(first), *WORDS, "--json", *home)
    reports = ROOT / "reports"
    reports.mkdir()
    (reports / "folder.json").write_text(folder, encoding="utf-8")
    (reports / "one.json").write_text(one, encoding="utf-8")


def _environment(worktree: Path, prefect: Path) -> dict[str, str]:
    """Nothing of the user's: neither settings, nor a name."""
    ours = ("ZEROPAN_", "MLFLOW_", "PREFECT_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {
        "PYTHONPATH": str(worktree),
        "PREFECT_HOME": str(prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
        "LOGNAME": "zeropan",
        "COLUMNS": "100",
    }


def _settle(database: Path) -> None:
    """All of a database in its one file."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")


def _pack() -> int:
    """Write the archive: names in order, and no times, users or modes of this machine."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(ROOT.rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if not path.is_file() or any(fnmatch(name, pattern) for pattern in LEFT_OUT):
                continue
            about = tarfile.TarInfo(name)
            about.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(about, file)
    data = lzma.compress(whole.getvalue(), preset=9 | lzma.PRESET_EXTREME)
    if len(data) >= LIMIT:
        raise SystemExit(f"the archive would have {len(data):,} bytes, {LIMIT:,} are too many")
    ARCHIVE.write_bytes(data)
    return len(data)


if __name__ == "__main__":
    main()
