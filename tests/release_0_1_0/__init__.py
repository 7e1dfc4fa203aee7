"""A home that release 0.1.0 made; see README.md."""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

ARCHIVE = Path(__file__).with_name("home.tar.xz")
OLD_ROOT = "/tmp/zeropan-0.1.0"

_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("tags", "value"),
    ("inputs", "source_id"),
    ("datasets", "dataset_source"),
)
"""Columns of MLflow's tables that hold paths."""


def unpacked(folder: Path) -> Path:
    """Unpack everything into a folder, whose path takes the place of the old one."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".yaml", ".md") and "store" not in path.parts:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(OLD_ROOT, str(folder)), encoding="utf-8")
    with closing(sqlite3.connect(folder / "home" / "mlflow.db")) as database, database:
        for table, column in _PLACES:
            database.execute(
                f"UPDATE {table} SET {column} = REPLACE({column}, ?, ?)", (OLD_ROOT, str(folder))
            )
    return folder
