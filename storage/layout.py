"""How an artifact's files lie in the store: each by itself, or all of them in one ZIP file.

By itself each array's chunk can be looked at, copied and mapped. In a ZIP file, stored without
further compression, seven artifacts are 14 objects instead of 50, which is what counts in a bucket
or on a network file system; Zarr opens it with its own ZipStore. A store has one layout for what is
written from now on, and any mixture of both can be read.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import get_args

from zeropan.choices import Layout
from zeropan.errors import ArtifactDamaged, BadConfig
from zeropan.storage.files import Files

GROUP = "group.zip"
"""Name of the one file of an artifact in a ZIP layout."""
SETTING = ".layout.json"
"""The store's own note of its layout, so that every machine writes the same."""


def layout_of(files: Files) -> Layout:
    """The layout that a store's new artifacts get: folder, unless it was set.

    Raises:
        BadConfig: the store's note of it is none.
    """
    try:
        layout = json.loads(files.read(SETTING))["layout"]
    except (FileNotFoundError, NotADirectoryError):
        return "folder"
    except (ValueError, KeyError, TypeError) as error:
        raise _unknown(f"the store's {SETTING} is damaged") from error
    if layout not in get_args(Layout):
        raise _unknown(f"the store's {SETTING} says {layout!r}")
    return "zip" if layout == "zip" else "folder"


def set_layout(files: Files, layout: str) -> None:
    """Set the layout of what is written from now on; what is stored stays as it is.

    Raises:
        BadConfig: there is no such layout.
    """
    if layout not in get_args(Layout):
        raise _unknown(f"layout {layout!r} is not known")
    files.publish(SETTING, json.dumps({"layout": layout}).encode(), replace=True)


def pack(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files as one ZIP file; the same files always give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name), contents[name])
    return {GROUP: buffer.getvalue()}


def unpack(contents: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """What `pack` was given; files that are not packed are returned as they are.

    Raises:
        ArtifactDamaged: the ZIP file is none.
    """
    if set(contents) != {GROUP}:
        return contents
    try:
        with zipfile.ZipFile(io.BytesIO(contents[GROUP])) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise ArtifactDamaged(
            f"{GROUP} is no ZIP file ({error}); prune the store and run again"
        ) from error


def _unknown(what: str) -> BadConfig:
    return BadConfig(f"{what}; set it with zeropan store layout {' | '.join(get_args(Layout))}")
