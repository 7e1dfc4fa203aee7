"""Which images a run is about: folders, globs, lists and single files, local or behind a URL."""

from __future__ import annotations

import glob
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from zeropan.errors import BadInput, TransientError
from zeropan.request.inputs import refuse_passwords
from zeropan.segmentation.images import read_image_bytes, shown
from zeropan.storage.seen import mark_of

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
"""What counts as an image in a folder; a file named by itself may have any name."""
LISTS = frozenset({".json", ".txt"})
"""COCO image lists, and text files with a location a line."""


@dataclass(frozen=True)
class Known:
    """What is known of an image before its bytes are read."""

    fingerprint: str | None = None
    """Of its bytes, if a bucket's listing gave one."""
    sha256: str = ""
    """Hex digest of its bytes, if a recorded run names it."""


Images = dict[str, Known]
"""Location → what is known of the image there."""


def title_of(sources: Sequence[str]) -> str:
    """What a run of these sources is called: the first one's name, and how many there are more."""
    first = shown(sources[0]).rstrip("/")
    name = first.rpartition("/")[2] or first
    return name if len(sources) == 1 else f"{name} and {len(sources) - 1} more"


def named_files(sources: Sequence[str]) -> list[str]:
    """Those of the sources that name one image each."""
    return [source for source in sources if _kind(source) == "file"]


def find_images(
    sources: Sequence[str], *, limit: int | None = None, shuffle_seed: int | None = None
) -> Images:
    """All images that the sources stand for, each once.

    Args:
        sources: image files, folders (with all below them), globs, COCO JSON files (their
            `images`, relative to the file's folder or below `images/` beside it) and .txt files
            with a location a line; local paths or fsspec URLs.
        limit: only the first so many, after shuffling.
        shuffle_seed: seed of a random order; by default the sources' order, folders sorted by
            name.

    Returns:
        location → what is known of the image there.

    Raises:
        BadInput: a source does not exist or holds no image.
    """
    found = _listed_before.get().get(tuple(sources)) or _all_of(sources)
    images = list(found)
    if shuffle_seed is not None:
        random.Random(shuffle_seed).shuffle(images)
    return {image: found[image] for image in images[:limit]}


@contextmanager
def listed(sources: Sequence[str]) -> Iterator[None]:
    """List the sources now; whoever asks for them within the block is told what was found.

    A command so refuses what does not exist before it starts a flow, which need not list it anew.

    Raises:
        BadInput: a source does not exist or holds no image.
    """
    token = _listed_before.set({tuple(sources): _all_of(sources)})
    try:
        yield
    finally:
        _listed_before.reset(token)


_listed_before: ContextVar[Mapping[tuple[str, ...], Images]] = ContextVar(
    "zeropan_listed", default=MappingProxyType({})
)


def _all_of(sources: Sequence[str]) -> Images:
    if not sources:
        raise BadInput("no image was given; name at least one image file or folder")
    refuse_passwords(sources)
    found: Images = {}
    for source in sources:
        found.update(_expand(source))
    refuse_passwords(list(found))  # A list's entries are addresses, too.
    return found


def _expand(source: str) -> Images:
    match _kind(source):
        case "folder":
            return _some(_walk(source), source, f"no image ({', '.join(sorted(SUFFIXES))})")
        case "glob":
            return _some(_matches(source), source, "no match")
        case "list":
            return _some(_listed(source), source, "no image entry")
        case _:
            return {source if "://" in source else str(Path(source).absolute()): Known()}


def _kind(source: str) -> str:
    if PurePosixPath(source).suffix.lower() in LISTS:
        return "list"
    if "://" in source:
        if set("*[") & set(source):
            return "glob"
        return "folder" if _is_folder(source) else "file"
    path = Path(source)
    if path.is_dir():
        return "folder"
    return "glob" if set("*?[") & set(source) and not path.exists() else "file"


def _some(images: Images, source: str, what: str) -> Images:
    if not images:
        raise BadInput(f"{shown(source)} holds {what}; check the path, or name another place")
    return images


def _walk(source: str) -> Images:
    """Every image below a folder, sorted; hidden files and folders are left out."""
    if "://" not in source:
        root = Path(source).absolute()
        return {
            str(path): Known()
            for path in sorted(root.rglob("*"))
            if _is_image(path.relative_to(root).as_posix()) and path.is_file()
        }
    fs, root_path = _file_system(source)
    with _listing(fs, source):
        found = fs.find(root_path, detail=True)
    return {
        str(fs.unstrip_protocol(name)): Known(mark_of(found[name]))
        for name in sorted(found)
        if _is_image(name[len(root_path) :])
    }


def _matches(source: str) -> Images:
    if "://" not in source:
        found = sorted(glob.glob(str(Path(source).absolute()), recursive=True))
        return {name: Known() for name in found if Path(name).is_file()}
    fs, pattern = _file_system(source)
    with _listing(fs, source):
        matches = fs.glob(pattern, detail=True)
    return {
        str(fs.unstrip_protocol(name)): Known(mark_of(matches[name]))
        for name in sorted(matches)
        if matches[name].get("type") != "directory"
    }


def _listed(source: str) -> Images:
    source = source if "://" in source else str(Path(source).absolute())
    text = read_image_bytes(source).decode("utf-8", errors="replace")
    if source.lower().endswith(".txt"):
        names = [line.strip() for line in text.splitlines()]
        return {_beside(source, n): Known() for n in names if n and not n.startswith("#")}
    try:
        names = [str(image["file_name"]) for image in json.loads(text)["images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{shown(source)} is no COCO image list; it needs a list `images` of objects with a "
            "file_name"
        ) from error
    if names and "://" not in source and not Path(_beside(source, names[0])).exists():
        folder = Path(source).parent
        for base in (folder / "images", folder.parent / "images"):
            if (base / names[0]).is_file():
                return {str(base / name): Known() for name in names}
    return {_beside(source, name): Known() for name in names}


def _beside(source: str, name: str) -> str:
    """A list's entry: an address, an absolute path, or a path relative to the list's folder."""
    absolute = "://" in name or name.startswith("/")
    return name if absolute else f"{source.rpartition('/')[0]}/{name}"


def _is_image(relative: str) -> bool:
    parts = PurePosixPath(relative).parts
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and PurePosixPath(relative).suffix.lower() in SUFFIXES


def _is_folder(url: str) -> bool:
    if url.startswith(("http://", "https://")):
        return False
    fs, path = _file_system(url)
    with _asking(url):
        return bool(fs.isdir(path))


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise BadInput(
            f"{shown(url)} is of a kind that cannot be opened here ({error}); install the fsspec "
            "package for it"
        ) from error
    return fs, str(path).rstrip("/")


@contextmanager
def _listing(fs: Any, url: str) -> Iterator[None]:
    """List a place as it is now; the file system's own memory of it is neither used nor kept.

    Each question about one file would go through that memory's list from its beginning.
    """
    fs.invalidate_cache()
    with _asking(url):
        yield
    fs.invalidate_cache()


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Turn whatever a remote file system raises into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(f"{shown(url)} does not exist; check the address") from error
    except PermissionError as error:
        raise BadInput(f"{shown(url)} may not be listed; check your credentials") from error
    except Exception as error:  # Every remote file system has network errors of its own.
        raise TransientError(
            f"{shown(url)} could not be listed ({type(error).__name__}: {error}); try again"
        ) from error
