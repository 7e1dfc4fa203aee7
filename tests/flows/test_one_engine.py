"""Whatever the number of images: one report, one layout of files and of MLflow runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from tests.commands import Zeropan, again, how, measure, segment
from zeropan.errors import TooManyFailures
from zeropan.scenes.render import render_scene

WORDS = {"things": ["cup", "nigiri", "lemon"], "stuff": ["wood", "cloth"]}
COUNTS = (1, 3, 20, 21, pytest.param(200, marks=pytest.mark.heavy))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "one.png"
    Image.fromarray(render_scene(44, height=96, width=128).image).save(path)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def alone(picture: Path, home: Path) -> dict[str, Any]:
    """The report of a run of the one image."""
    return segment([picture], WORDS, home=str(home), pictures=2)


def copies(picture: Path, folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    return [Path(shutil.copy(picture, folder / f"{n:03}.png")) for n in range(count)]


@pytest.mark.parametrize("count", COUNTS)
def test_one_schema_one_layout_and_the_same_result(
    count: int, picture: Path, home: Path, alone: dict[str, Any], tmp_path: Path
) -> None:
    images = copies(picture, tmp_path / "in", count)
    report = segment(images, WORDS, home=str(home), pictures=2)
    assert report.keys() == alone.keys()
    assert (report["total"], report["cached"], report["failed"]) == (count, count, 0)
    first = alone["images"][0]
    label_map = Path(first["panoptic_png"]).read_bytes()
    for number, row in enumerate(report["images"]):
        assert row.keys() == first.keys()
        assert Path(row["panoptic_png"]).read_bytes() == label_map
        assert Path(row["panoptic_json"]).is_file()
        assert bool(row["overlay"]) == bool(row["stages"]) == (number < 2)
        assert not row["overlay"] or Path(row["overlay"]).is_file()
    assert len(Path(report["table"]).read_text().splitlines()) == count

    client = MlflowClient(report["tracking_uri"])
    mine, other = (client.get_run(r["tracking_run_id"]) for r in (report, alone))
    assert {f.path for f in client.list_artifacts(mine.info.run_id)} == {
        f.path for f in client.list_artifacts(other.info.run_id)
    }
    # The numbers of single images are there in both, those of change in neither.
    assert set(mine.data.metrics) == set(other.data.metrics)
    assert set(mine.data.params) >= set(other.data.params) - {"image/sha256"}
    assert set(mine.data.tags) == set(other.data.tags)


@pytest.fixture
def folder(picture: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        image = render_scene(50 + number, height=64, width=64).image
        Image.fromarray(image).save(folder / f"{number}.png")
    yield folder


def test_a_folder_with_a_lost_image_is_run_again(folder: Path, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    segment([folder], WORDS, home=home, pictures=0)
    (folder / "2.png").unlink()
    # Everything above is stored: the image is not missed.
    report = again("latest", ["panoptic.min_stuff_area=0.3"], home=home, pictures=0)
    assert (report["total"], report["failed"]) == (4, 0)
    # Its embedding is gone as well: that image has failed, the others are done.
    for stage in ("embed_image", "ground_things", "things"):
        shutil.rmtree(tmp_path / "home" / "store" / stage)
    report = again("latest", ["things.box_threshold=0.4"], home=home, pictures=0)
    assert (report["total"], report["computed"], report["failed"]) == (4, 3, 1)
    assert "2.png does not exist" in report["failures"][0]["reason"]


def test_a_replaced_image_is_never_taken_for_the_recorded_one(folder: Path, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    segment([folder], WORDS, home=home, pictures=0)
    shutil.copy(folder / "1.png", folder / "0.png")
    shutil.rmtree(tmp_path / "home" / "store" / "embed_image")
    report = again("latest", ["things.box_threshold=0.4"], home=home, pictures=0)
    assert report["failed"] == 1
    assert "is no longer the image that was segmented" in report["failures"][0]["reason"]


def test_the_only_image_that_fails_is_exit_code_3_for_a_rerun_too(
    folder: Path, tmp_path: Path, zeropan: Zeropan
) -> None:
    home = tmp_path / "home"
    segment([folder / "0.png"], WORDS, home=str(home), pictures=0)
    shutil.rmtree(home / "store")
    (folder / "0.png").unlink()
    finished = zeropan("rerun", "latest", "--home", home, "--json")
    assert finished.returncode == 3
    report = json.loads(finished.stdout)
    assert (report["total"], report["failed"]) == (1, 1)
    with pytest.raises(TooManyFailures) as raised:
        again("latest", home=str(home))
    assert raised.value.report["failed"] == 1


def test_an_evaluation_is_run_again_as_an_evaluation(tmp_path: Path) -> None:
    home = str(tmp_path)
    first = measure("scenes:300-300", home=home)
    second = again("latest", ["things.box_threshold=1.0"], home=home)
    assert second["command"] == "evaluate"
    assert second["metrics_of_quality"]["quality/pq_things"] == 0
    assert first["metrics_of_quality"]["quality/pq_things"] > 0


def test_options_hold_for_a_single_image(picture: Path, home: Path, zeropan: Zeropan) -> None:
    finished = zeropan(
        "run", picture, "--things", "cup", "--stuff", "wood", "--home", home, "--json",
        "--workers", 1, "--runner", "threads", "--task-runs", "batches", "--limit", 1,
        "--shuffle-seed", 3, "--max-failures", 0, "--pictures", 0,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert report["task_runs"] == 1
    assert not report["images"][0]["overlay"]
    retried = zeropan("run", picture, "--things", "cup", "--home", home, "--retry-failed", "--json")
    assert (retried.returncode, json.loads(retried.stdout)["total"]) == (0, 0)


def test_what_was_computed_once_is_cached_as_a_whole(alone: dict[str, Any]) -> None:
    assert set(how(alone).values()) == {"computed"}
