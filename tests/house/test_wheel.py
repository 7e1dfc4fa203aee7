"""What is built, and that it works where it is installed, next to a user's own files."""

from __future__ import annotations

import json
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.house.conftest import Built, Environment
from tests.tree import ROOT, installed
from zeropan import __version__
from zeropan.scenes.render import render_scene

pytestmark = pytest.mark.heavy

METADATA = f"zeropan-{__version__}.dist-info"


def test_the_wheel_holds_the_package_and_its_metadata_alone(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
        assert {name for name in names if not name.startswith(f"{METADATA}/")} == {*installed()}
        assert {"METADATA", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"} < {
            name.removeprefix(f"{METADATA}/") for name in names
        }
        for name, file in installed().items():
            assert wheel.read(name) == file.read_bytes(), name
        said = Parser().parsestr(wheel.read(f"{METADATA}/METADATA").decode())
    assert (said["Name"], said["Version"]) == ("zeropan", __version__)
    assert said["License-Expression"] == "Apache-2.0"
    assert {"dask", "s3", "dev"} <= {*said.get_all("Provides-Extra", [])}


def test_the_sdist_holds_real_files(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        members = sdist.getmembers()
        assert all(member.isfile() or member.isdir() for member in members)
        root = f"zeropan-{__version__}"
        files = {member.name.removeprefix(f"{root}/") for member in members if member.isfile()}
        for name, file in installed().items():
            held = sdist.extractfile(f"{root}/{name}")
            assert held is not None and held.read() == file.read_bytes(), name
    rest = {name for name in files if not name.startswith("zeropan.egg-info/")} - {*installed()}
    assert rest == {"LICENSE", "NOTICE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}


@pytest.fixture
def users_folder(tmp_path: Path) -> Path:
    """A folder whose files have the names that release 0.1.0 took for itself."""
    folder = tmp_path / "mine"
    folder.mkdir()
    taken = 'raise AssertionError(f"{__file__} was imported")\n'
    for name in ("flows", "tasks", "storage", "segmentation", "tracking", "evaluation", "scenes"):
        (folder / f"{name}.py").write_text(taken)
    for name in ("models", "training"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(taken)
    Image.fromarray(render_scene(11, height=192, width=256).image).save(folder / "table.png")
    return folder


def test_what_is_installed_segments_next_to_a_users_own_files(
    with_zeropan: Environment, users_folder: Path, tmp_path: Path
) -> None:
    where = with_zeropan.run(
        "python", "-c", "import zeropan; print(zeropan.__file__)", cwd=users_folder
    )
    assert with_zeropan.folder in Path(where.stdout.strip()).parents, where.stderr
    assert ROOT not in Path(where.stdout.strip()).parents
    version = with_zeropan.run("python", "-m", "zeropan", "--version", cwd=users_folder)
    assert (version.returncode, version.stdout) == (0, f"zeropan {__version__}\n"), version.stderr

    # A Prefect home of its own and no server: what a user has at first.
    fresh = {"PREFECT_HOME": str(tmp_path / "prefect")}
    segment = (
        "run", "table.png", "--things", "cup, plate, lemon", "--stuff", "wood, cloth", "--json",
    )  # fmt: skip
    first = with_zeropan.run("zeropan", *segment, cwd=users_folder, env=fresh)
    assert first.returncode == 0, first.stderr
    (image,) = json.loads(first.stdout)["images"]
    assert {stage["how"] for stage in image["stages"]} == {"computed"}
    (label_map,) = (users_folder / "zeropan-data").rglob("*panoptic*.png")
    assert np.asarray(Image.open(label_map)).any()

    # As a module, Python looks into the current folder first: there the user's own files lie.
    again = with_zeropan.run("python", "-m", "zeropan", *segment, cwd=users_folder, env=fresh)
    assert again.returncode == 0, again.stderr
    (image,) = json.loads(again.stdout)["images"]
    assert {stage["how"] for stage in image["stages"]} == {"cached"}
