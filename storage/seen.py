"""Which bytes a location held when it was last read, so that the same ones are not read again.

A bucket of a million images is not downloaded every night to learn that nothing in it has changed.
A small SQLite file of this machine remembers, for each location, a fingerprint that the file system
gives for nothing (a local file's size, times and inode; an object store's ETag) and the SHA-256 of
the bytes that were read under it. It is a hint: where it is lost, wrong or cannot be written,
images are read and hashed as on the first day.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

logger = logging.getLogger(__name__)

SETTLED_S = 2.0
"""A local file that changed later than this before it was read may change again within the same
tick of its file system's clock, so its fingerprint is not trusted."""
_TELLING = ("ETag", "etag", "generation", "md5Hash", "content_md5", "Content-MD5")
"""What object stores tell of a file that is another one as soon as its bytes are."""


def fingerprint(location: str) -> str | None:
    """A short text that changes whenever the file's bytes do.

    Args:
        location: a local path or an fsspec URL.

    Returns:
        None where the place says nothing that one could rely on, or does not answer.
    """
    try:
        return _remote(location) if "://" in location else _local(location)
    except Exception as error:  # Reading the file will say it better than we could here.
        logger.debug("no fingerprint: %s", type(error).__name__)
        return None


def _local(path: str) -> str | None:
    status = os.stat(path)
    if time.time() - max(status.st_mtime, status.st_ctime) < SETTLED_S:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _remote(url: str) -> str | None:
    import fsspec

    fs, path = fsspec.core.url_to_fs(url)
    return mark_of(fs.info(path, refresh=True))


def mark_of(about: Mapping[str, object]) -> str | None:
    """The fingerprint in what an fsspec file system says of a file, if there is one in it."""
    told = [f"{name}={about[name]}" for name in _TELLING if about.get(name)]
    # A weak ETag stands for a meaning, not for bytes.
    if not told or any("=W/" in one for one in told):
        return None
    return f"{about.get('size')}-{'-'.join(told)}"


class SeenImages:
    """The fingerprints and digests of this machine.

    Several processes may use one file at a time.

    Args:
        path: the SQLite file; it is made when there is something to remember.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def digest(self, location: str, mark: str | None) -> str | None:
        """SHA-256, in hex, of the bytes that were read under this fingerprint, if they were."""
        if mark is None or not self._path.exists():
            return None
        try:
            with closing(self._open()) as database:
                found = database.execute(
                    "SELECT sha256 FROM seen WHERE location = ? AND fingerprint = ?",
                    (_name(location), mark),
                ).fetchone()
        except sqlite3.Error as error:
            logger.info("%s cannot be read (%s); images are read instead", self._path, error)
            return None
        return bytes(found[0]).hex() if found else None

    def remember(self, seen: Iterable[tuple[str, str, str]]) -> None:
        """Remember locations with their fingerprints and digests, all in one transaction."""
        rows = [(_name(place), mark, bytes.fromhex(sha256)) for place, mark, sha256 in seen]
        if not rows:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._open()) as database, database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS seen "
                    "(location BLOB PRIMARY KEY, fingerprint TEXT, sha256 BLOB) WITHOUT ROWID"
                )
                database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            logger.info("%s cannot be written (%s); images are read again", self._path, error)
            if _is_damaged(error):
                self._path.unlink(missing_ok=True)  # What it held is learnt again.

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10.0)


def _is_damaged(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def _name(location: str) -> bytes:
    """A digest of the location: an address may hold a signature that is nobody's business."""
    return hashlib.sha256(location.encode("utf-8", "surrogatepass")).digest()
