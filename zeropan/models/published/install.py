"""Published models on this machine: fetched, checked, converted, listed, removed.

A component's folder appears under its final name only when all of it is there and checked. What is
not finished lies in `.incoming` beside it, where the next pull goes on.

    ZEROPAN_MODELS/
        sam_vit_b/
            config.json  model.safetensors         what the adapter loads
            origin/manifest.json                   what came, from where, with which SHA-256
            origin/sam_vit_b_01ec64.pth            the pickled original
        .incoming/
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from zeropan.errors import BadConfig, WeightsDamaged, WeightsMissing
from zeropan.machine.files import write_whole
from zeropan.models.folders import WEIGHTS
from zeropan.models.presets import folder_of, models_folder
from zeropan.models.published.components import Component
from zeropan.models.published.download import fetch, sha256_of

INCOMING = ".incoming"
ORIGIN = "origin"
_PICKLED = (".pth", ".pt", ".bin")

State = Literal["installed", "absent", "foreign"]


class Manifest(BaseModel):
    """What a component's folder was made from, and what it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    component: str
    sources: dict[str, str]
    """Published file → where it came from."""
    files: dict[str, str]
    """Path within the folder → SHA-256."""


def pull(component: Component, *, source: Path | None = None, say: Callable[[str], None]) -> Path:
    """Make a component's folder; nothing is done if it is there and whole in name.

    Args:
        component: a published one.
        source: a folder to take the files from instead of the network.
        say: is told what happens, a line at a time.

    Raises:
        WeightsMissing: a file could not be had.
        WeightsDamaged: a file is not what was published, or does not fit the model.
        BadConfig: something else is in the way.
    """
    folder = folder_of(component)
    with _alone(component):
        if state_of(component) == "installed":
            say(f"{component.name} is in {folder}")
            return folder
        _refuse_foreign(component)
        incoming = models_folder() / INCOMING / component.name
        fetched: dict[str, Path] = {}
        for file in component.files:
            say(f"{component.name}: {file.name} from {source or file.source}")
            fetched[file.name] = fetch(file, component, incoming, source=source)
        say(f"{component.name}: checking and converting")
        _publish(component, fetched, incoming, folder)
    say(f"{component.name} is in {folder}")
    return folder


def verify(component: Component) -> None:
    """Hash every file of an installed component and compare with what is known of it.

    Raises:
        WeightsMissing: the component, or one of its files, is not there.
        WeightsDamaged: a file has changed, or is not the published one.
    """
    folder = folder_of(component)
    if state_of(component) == "absent":
        raise WeightsMissing(
            f"{component.name} is not in {models_folder()}; "
            f"get it with `zeropan models pull {component.name}`"
        )
    _refuse_foreign(component)
    manifest = read_manifest(folder)
    published = {file.name: file.sha256 for file in component.files if file.sha256}
    for path, sha256 in manifest.files.items():
        if not (folder / path).is_file():
            raise WeightsMissing(
                f"{folder / path} is gone; remove the model with "
                f"`zeropan models rm {component.name}` and pull it again"
            )
        expected = published.get(Path(path).name, sha256)
        if sha256_of(folder / path) != expected:
            raise WeightsDamaged(
                f"{folder / path} is not the file that was pulled; remove the model with "
                f"`zeropan models rm {component.name}` and pull it again"
            )


def remove(component: Component, *, originals_only: bool = False) -> int:
    """Remove a component, or only the pickled originals that its weights were converted from.

    Returns:
        Bytes that are free now.

    Raises:
        BadConfig: the folder of that name was not made by a pull.
    """
    folder = folder_of(component)
    with _alone(component):
        _refuse_foreign(component)
        if not originals_only:
            freed = _bytes(folder) + _bytes(models_folder() / INCOMING / component.name)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(models_folder() / INCOMING / component.name, ignore_errors=True)
            return freed
        originals = [path for path in (folder / ORIGIN).glob("*") if path.suffix in _PICKLED]
        freed = sum(path.stat().st_size for path in originals)
        if originals:
            manifest = read_manifest(folder)
            gone = {f"{ORIGIN}/{path.name}" for path in originals}
            files = {path: sha for path, sha in manifest.files.items() if path not in gone}
            _write_manifest(folder, manifest.model_copy(update={"files": files}))
        for path in originals:
            path.unlink()
        return freed


def state_of(component: Component) -> State:
    """Whether a component's folder is there, and made by a pull."""
    folder = folder_of(component)
    if not folder.exists():
        return "absent"
    return "installed" if (folder / ORIGIN / "manifest.json").is_file() else "foreign"


def read_manifest(folder: Path) -> Manifest:
    """What a pull wrote about a component's folder.

    Raises:
        WeightsDamaged: it cannot be read.
    """
    path = folder / ORIGIN / "manifest.json"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise WeightsDamaged(
            f"{path} cannot be read; remove the model with `zeropan models rm {folder.name}` "
            "and pull it again"
        ) from error


def _publish(component: Component, fetched: dict[str, Path], incoming: Path, folder: Path) -> None:
    """Put the folder together under another name, and give it its own in one step."""
    from zeropan.models.published.convert import convert

    building = incoming / "building"
    shutil.rmtree(building, ignore_errors=True)
    (building / ORIGIN).mkdir(parents=True)
    pickled = [name for name in fetched if name.endswith(_PICKLED)]
    for name, path in fetched.items():
        if name not in pickled:
            shutil.copyfile(path, building / name)
    for name in pickled:
        convert(fetched[name], component, building)
    if not (building / WEIGHTS).is_file():
        raise WeightsDamaged(f"{component.name} came without {WEIGHTS}; pull it again")
    for name in pickled:
        os.replace(fetched[name], building / ORIGIN / name)
    files = sorted(path for path in building.rglob("*") if path.is_file())
    _write_manifest(
        building,
        Manifest(
            component=component.name,
            sources={file.name: file.source for file in component.files},
            files={path.relative_to(building).as_posix(): sha256_of(path) for path in files},
        ),
    )
    os.replace(building, folder)
    shutil.rmtree(incoming, ignore_errors=True)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    path = folder / ORIGIN / "manifest.json"
    write_whole(path, (json.dumps(manifest.model_dump(), indent=1) + "\n").encode())


def _refuse_foreign(component: Component) -> None:
    if state_of(component) == "foreign":
        raise BadConfig(
            f"{folder_of(component)} was not made by `zeropan models pull`; move it away, or set "
            "ZEROPAN_MODELS to another folder"
        )


@contextmanager
def _alone(component: Component) -> Iterator[None]:
    """Hold the component against another pull or removal on this machine."""
    place = models_folder() / INCOMING
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(
            f"{models_folder()} cannot hold models ({error.strerror or error}); "
            "set ZEROPAN_MODELS to a folder that can be written to"
        ) from error
    with FileLock(place / f"{component.name}.lock"):
        yield


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
