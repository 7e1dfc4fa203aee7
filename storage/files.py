"""Where the bytes are: a local folder or any fsspec URL, behind the few calls the store needs."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from zeropan.errors import StoreError

ASIDE = ".marker-"
"""How the names of files begin that are written aside, to be published a moment later."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Files(Protocol):
    """Bytes under relative names, "/" between their parts."""

    def read(self, name: str) -> bytes:
        """The bytes; FileNotFoundError where there are none."""
        ...

    def read_all(self, folder: str, names: Sequence[str]) -> dict[str, bytes]:
        """The bytes of those of a folder's files that are there."""
        ...

    def write_all(self, folder: str, contents: Mapping[str, bytes]) -> None:
        """Write files that no reader looks at yet; they and their names outlive a loss of power."""
        ...

    def publish(self, name: str, data: bytes, *, replace: bool, durable: bool = True) -> bool:
        """Make a file visible at once and whole. False: it was there and `replace` is not set.

        `durable` waits until the file would outlive a loss of power.
        """
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

    def read_all(self, folder: str, names: Sequence[str]) -> dict[str, bytes]:  # noqa: D102
        found = {}
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found[name] = (self.root / folder / name).read_bytes()
        return found

    def write_all(self, folder: str, contents: Mapping[str, bytes]) -> None:  # noqa: D102
        for name, data in contents.items():
            path = self.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for inner, _, _ in os.walk(self.root / folder):
            _sync_folder(Path(inner))
        for outer in Path(folder).parents:
            _sync_folder(self.root / outer)

    def publish(  # noqa: D102
        self, name: str, data: bytes, *, replace: bool, durable: bool = True
    ) -> bool:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile: its files are for their owner alone, and a store may be shared.
        aside = path.parent / f"{ASIDE}{uuid.uuid4().hex}"
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            if replace:
                os.replace(aside, path)
            elif not _create(aside, path):
                return False
        finally:
            aside.unlink(missing_ok=True)
        if durable:
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
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # It stays if another attempt is in it.
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
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"the store {url} cannot be opened: {error}; install the package for this kind "
                "of URL, or give a local folder"
            ) from error
        self._root = root.rstrip("/")

    def read(self, name: str) -> bytes:  # noqa: D102
        return bytes(self._fs.cat_file(self._path(name)))

    def read_all(self, folder: str, names: Sequence[str]) -> dict[str, bytes]:  # noqa: D102
        # All at a time, where the file system can: each read is a trip through the network.
        paths = {self._path(f"{folder}/{name}"): name for name in names}
        found = self._fs.cat(list(paths), on_error="return")
        for answer in found.values():
            if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                raise answer
        return {paths[path]: data for path, data in found.items() if isinstance(data, bytes)}

    def write_all(self, folder: str, contents: Mapping[str, bytes]) -> None:  # noqa: D102
        self._fs.pipe({self._path(f"{folder}/{name}"): data for name, data in contents.items()})

    def publish(  # noqa: D102
        self, name: str, data: bytes, *, replace: bool, durable: bool = True
    ) -> bool:
        path = self._path(name)
        if replace:
            self._fs.pipe_file(path, data)
            return True
        try:
            self._fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError, NotImplementedError):
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
        base = self._path(prefix) if prefix else self._root
        # A listing of other places, such as that of the images, may stay.
        self._fs.invalidate_cache(base if prefix else None)
        found = self._fs.find(base, detail=True)
        for path in sorted(found):
            about = found[path]
            yield path[len(self._root) :].lstrip("/"), int(about["size"]), _changed(about)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def open_files(url: str) -> Files:
    """The files of a local path or of an fsspec URL."""
    if url.startswith("file://"):
        url = url.removeprefix("file://")
    return RemoteFiles(url) if "://" in url else LocalFiles(Path(url))


def _create(aside: Path, path: Path) -> bool:
    """Give a file its name, unless the name is taken."""
    try:
        # A link is made or refused in one step, so of two writers one wins.
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # This file system has no links. Two writers of one key write the same result, so the
        # later marker is as right as the earlier.
        if path.exists():
            return False
        os.replace(aside, path)
    return True


def _changed(about: Mapping[str, Any]) -> float:
    """Seconds since the epoch; now where it is not said, so that nothing new looks old."""
    for name in ("mtime", "LastModified", "last_modified", "created"):
        value = about.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return time.time()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems refuse this for folders; there is no other way to ask.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)
