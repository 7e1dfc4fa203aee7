"""zeropan compare: two runs, their parameters, metrics, segments and pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from tests.commands import STUFF, THINGS, again, report_of, segment
from zeropan.errors import BadInput
from zeropan.scenes.render import render_scene


@pytest.fixture(scope="module")
def runs(
    scene_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    home = tmp_path_factory.mktemp("home")
    first = segment(
        images=[str(scene_file)], words={"things": THINGS, "stuff": STUFF}, home=str(home)
    )
    second = again("latest", changes=["things.box_threshold=0.97"], home=str(home))
    return home, first, second


def test_the_comparison_agrees_with_what_the_rerun_said(
    runs: tuple[Path, dict[str, Any], dict[str, Any]], zeropan: Callable[..., Any]
) -> None:
    home, first, second = runs
    a, b = first["tracking_run_id"], second["tracking_run_id"]
    report = report_of(zeropan("compare", a[:8], b[:8], "--home", home, "--json"))
    assert report["parameters"] == {"things.box_threshold": ["0.3", "0.97"]}
    assert report["images"][0]["change"] == second["images"][0]["change"]
    count_a, count_b = report["metrics"]["count/things"]
    assert count_a - count_b == sum(second["images"][0]["change"]["lost"].values())
    (picture,) = report["pictures"]
    with Image.open(picture) as row:
        assert row.width > 2 * row.height

    run = MlflowClient(report["tracking_uri"]).get_run(report["tracking_run_id"])
    assert run.data.tags["zeropan.compare"] == f"{a} {b}"
    assert run.data.tags["mlflow.loggedImages"] == "True"
    assert "zeropan.images" not in run.data.tags
    assert "| things.box_threshold | 0.3 | 0.97 |" in run.data.tags["mlflow.note.content"]


def test_two_runs_of_one_result_do_not_differ(
    runs: tuple[Path, dict[str, Any], dict[str, Any]], zeropan: Callable[..., Any]
) -> None:
    home, first, _ = runs
    run = first["tracking_run_id"]
    shown = zeropan("compare", run, run, "--home", home, "--no-log")
    assert shown.returncode == 0 and shown.stderr == ""
    assert "the same, pixel for pixel" in shown.stdout
    assert "MLflow" not in shown.stdout


def test_other_words_are_matched_by_name(
    runs: tuple[Path, dict[str, Any], dict[str, Any]], scene_file: Path, zeropan: Callable[..., Any]
) -> None:
    home, first, _ = runs
    turned = segment(
        images=[str(scene_file)],
        words={"things": [*reversed(THINGS), "egg"], "stuff": STUFF},
        home=str(home),
    )
    arguments = ["compare", first["tracking_run_id"], turned["tracking_run_id"], "--home", home]
    report = report_of(zeropan(*arguments, "--no-log", "--json"))
    assert report["images"][0]["change"]["relabelled"] == []
    assert set(report["parameters"]) == {"categories.things"}


def test_runs_without_a_common_image(
    runs: tuple[Path, dict[str, Any], dict[str, Any]], tmp_path: Path, zeropan: Callable[..., Any]
) -> None:
    home, first, _ = runs
    other = tmp_path / "other.png"
    Image.fromarray(render_scene(12).image).save(other)
    report = segment(images=[str(other)], words={"stuff": STUFF}, home=str(home))
    finished = zeropan(
        "compare", first["tracking_run_id"], report["tracking_run_id"], "--home", home
    )
    assert finished.returncode == 2
    assert "have no image in common; compare two runs of the same images" in finished.stderr


def test_a_result_that_is_gone_is_named(
    scene_file: Path, tmp_path: Path, zeropan: Callable[..., Any]
) -> None:
    first = segment(images=[str(scene_file)], words={"stuff": STUFF}, home=str(tmp_path))
    shutil.rmtree(tmp_path / "store")
    finished = zeropan("compare", "latest", first["tracking_run_id"], "--home", tmp_path, "--json")
    report = json.loads(finished.stdout)
    assert report["images"] == []
    assert "is no longer in" in report["missing"][0]
    with pytest.raises(BadInput):
        again("0000", home=str(tmp_path))
