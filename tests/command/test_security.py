"""Nothing that is read back is a pickle, no name leaves its folder, no secret is shown."""

from __future__ import annotations

import json
import pickletools
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.commands import report_of
from zeropan.scenes.render import render_scene
from zeropan.tasks.work import STAGES

WORDS = ["--things", "cup, ../../../nigiri", "--stuff", "wood, /etc/cloth"]
SECRET = "hunter2-hunter2"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("in") / "photo%2F..%2Fof a cup.png"
    Image.fromarray(render_scene(21, height=96, width=128).image).save(path)
    return path


@pytest.fixture(scope="module")
def ran(image: Path, tmp_path_factory: pytest.TempPathFactory, zeropan: Any) -> tuple[Path, Path]:
    """A home and a Prefect home after a run of one image and of its folder."""
    around = tmp_path_factory.mktemp("around")
    home, prefect = around / "home", around / "prefect"
    env = {"PREFECT_HOME": str(prefect)}
    report_of(zeropan("run", image, *WORDS, "--home", home, "--json", env=env))
    report_of(zeropan("run", image.parent, *WORDS, "--home", home, "--json", env=env))
    return home, prefect


def test_prefects_results_are_json(ran: tuple[Path, Path]) -> None:
    files = [path for path in (ran[1] / "storage").rglob("*") if path.is_file()]
    records = [json.loads(path.read_text()) for path in files]
    stages = [record for record in records if "metadata" in record]
    assert len(stages) == len(STAGES)
    for record in stages:
        assert record["metadata"]["serializer"]["type"] == "zeropan-stage-outcome"
        assert json.loads(record["result"])["digest"]
    # The rest are the two flows' own results, which have no envelope.
    assert len(records) == len(STAGES) + 2


def test_nothing_in_the_home_is_a_pickle(ran: tuple[Path, Path]) -> None:
    files = [path for path in ran[0].rglob("*") if path.is_file()]
    assert len(files) > 50
    assert not [path for path in files if is_pickle(path)]


def is_pickle(path: Path) -> bool:
    data = path.read_bytes()
    if data[:2] not in [bytes((0x80, protocol)) for protocol in range(2, 6)]:
        return False
    try:
        return sum(1 for _ in pickletools.genops(data)) > 1
    except ValueError:
        return False


def test_words_and_names_stay_below_the_home(ran: tuple[Path, Path]) -> None:
    home, prefect = ran
    assert {path.name for path in home.parent.iterdir()} == {home.name, prefect.name}
    for path in home.rglob("*"):
        assert path.resolve().is_relative_to(home.resolve())


@pytest.mark.parametrize("what", ["image", "folder", "store"])
def test_credentials_in_an_address_are_refused_and_not_repeated(
    what: str, image: Path, tmp_path: Path, zeropan: Any
) -> None:
    address = f"https://someone:{SECRET}@photos.invalid/in/{'a.png' if what == 'image' else '*'}"
    source = image if what == "store" else address
    store = ["--store", f"s3://someone:{SECRET}@bucket/store"] if what == "store" else []
    finished = zeropan("run", source, "--things", "cup", *store, "--home", tmp_path / "home")
    assert finished.returncode == 2, finished.stderr
    (said,) = finished.stderr.strip().splitlines()
    assert "environment" in said
    assert SECRET not in finished.stdout + finished.stderr
    assert not (tmp_path / "home").exists()


def test_the_tracking_servers_password_is_nowhere(
    image: Path, tmp_path: Path, zeropan: Any
) -> None:
    home, prefect = tmp_path / "home", tmp_path / "prefect"
    env = {
        "MLFLOW_TRACKING_URI": f"http://someone:{SECRET}@127.0.0.1:9",
        "PREFECT_HOME": str(prefect),
    }
    finished = zeropan("run", image, *WORDS, "--home", home, "--json", "--verbose", env=env)
    assert finished.returncode == 0, finished.stderr
    assert SECRET not in finished.stdout + finished.stderr
    wanted = SECRET.encode()
    for folder in (home, prefect):
        assert not [p for p in folder.rglob("*") if p.is_file() and wanted in p.read_bytes()]
    history = sqlite3.connect(prefect / "prefect.db")
    try:
        dumped = "\n".join(history.iterdump())
    finally:
        history.close()
    assert SECRET not in dumped
