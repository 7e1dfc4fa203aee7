"""Where the bytes are: a local folder or any fsspec URL, behind the few calls the store needs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class Files(Protocol):
    """Bytes under relative names, "/" between their parts."""

    def read(self, name: str) -> bytes:
        """The bytes; FileNotFoundError where there are none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a file that no reader looks at yet."""
        ...

    def publish(self, name: str, data: bytes, *, replace: bool) -> bool:
        """Make a file visible at once and whole. False: it was there and `replace` is not set."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes; None where there is no such file."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""
        ...

    def walk(self, prefix: str = "") -> Iterator[tuple[str, int, float]]:
        """Every file below a folder: name, bytes, seconds since the epoch of its last change."""
        ...


class LocalFiles:
    """A folder of this machine. Files are on the disk, not only in its cache, when we return."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str) -> bytes:  # noqa: D102
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:  # noqa: D102
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def publish(self, name: str, data: bytes, *, replace: bool) -> bool:  # noqa: D102
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".marker-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                # A link is made or refused in one step, so of two writers one wins.
                os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        _sync_folder(path.parent)
        return True

    def size(self, name: str) -> int | None:  # noqa: D102
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def delete(self, name: str) -> None:  # noqa: D102
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, int, float]]:  # noqa: D102
        for folder, _, names in os.walk(self.root / prefix):
            for name in sorted(names):
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    yield path.relative_to(self.root).as_posix(), status.st_size, status.st_mtime


class RemoteFiles:
    """An fsspec URL. A single write is atomic on object stores, so that is all we rely on."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._fs: Any
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")

    def read(self, name: str) -> bytes:  # noqa: D102
        return bytes(self._fs.cat_file(self._path(name)))

    def write(self, name: str, data: bytes) -> None:  # noqa: D102
        self._fs.pipe_file(self._path(name), data)

    def publish(self, name: str, data: bytes, *, replace: bool) -> bool:  # noqa: D102
        path = self._path(name)
        if replace:
            self._fs.pipe_file(path, data)
            return True
        try:
            self._fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        except TypeError:
            # This file system cannot create-if-absent. Two writers of one key write the same
            # bytes, so the later marker is as right as the earlier.
            if self._fs.exists(path):
                return False
            self._fs.pipe_file(path, data)
        return True

    def size(self, name: str) -> int | None:  # noqa: D102
        try:
            return int(self._fs.info(self._path(name), refresh=True)["size"])
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:  # noqa: D102
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(self._path(name), recursive=True)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, int, float]]:  # noqa: D102
        self._fs.invalidate_cache()
        base = self._path(prefix) if prefix else self._root
        found = self._fs.find(base, detail=True)
        for path in sorted(found):
            about = found[path]
            changed = about.get("mtime") or about.get("LastModified") or about.get("created") or 0
            seconds = changed.timestamp() if hasattr(changed, "timestamp") else float(changed)
            yield path[len(self._root) :].lstrip("/"), int(about["size"]), seconds

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def open_files(url: str) -> Files:
    """The files of a local path or of an fsspec URL."""
    if url.startswith("file://"):
        url = url.removeprefix("file://")
    return RemoteFiles(url) if "://" in url else LocalFiles(Path(url))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
