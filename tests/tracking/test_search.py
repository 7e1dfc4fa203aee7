"""The searches that people type into MLflow: by category, image, parent run, change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.commands import STUFF, THINGS, again, segment, swept
from zeropan.tracking.names import name

ODD = "茶碗 / 皿, (large)"


@pytest.fixture(scope="module")
def runs(scene_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    words = {"things": [*THINGS, ODD], "stuff": STUFF}
    first = segment(images=[str(scene_file)], words=words, home=str(home))
    second = again("latest", changes=["things.box_threshold=0.6"], home=str(home))
    grid = swept(
        grid=["panoptic.min_stuff_area=0.01,0.02"],
        images=[str(scene_file)],
        words=words,
        home=str(home),
    )
    return {"first": first, "again": second, "sweep": grid, "uri": first["tracking_uri"]}


def search(runs: dict[str, Any], text: str) -> set[str]:
    client = MlflowClient(runs["uri"])
    experiments = [one.experiment_id for one in client.search_experiments()]
    return {run.info.run_id for run in client.search_runs(experiments, filter_string=text)}


def test_by_category(runs: dict[str, Any]) -> None:
    both = {runs["first"]["tracking_run_id"], runs["again"]["tracking_run_id"]}
    present = next(name for name in runs["first"]["images"][0]["segments"] if name in THINGS)
    assert runs["first"]["tracking_run_id"] in search(runs, f"metrics.`count/{present}` >= 1")
    assert both.isdisjoint(search(runs, f"metrics.`count/{present}` > 50"))
    assert search(runs, f"metrics.`{name('count', ODD)}` >= 0") >= both
    assert search(runs, "params.`categories/things` LIKE '%茶碗%'") >= both


def test_by_image(runs: dict[str, Any], scene_file: Path) -> None:
    assert len(search(runs, f"tags.`zeropan.image` = '{scene_file.name}'")) >= 4
    digest = runs["first"]["images"][0]["sha256"]
    assert runs["first"]["tracking_run_id"] in search(runs, f"params.`image/sha256` = '{digest}'")
    assert search(runs, "tags.`zeropan.image` = 'another.png'") == set()


def test_by_the_run_it_came_from_and_by_the_sweep(runs: dict[str, Any]) -> None:
    origin, parent = runs["first"]["tracking_run_id"], runs["sweep"]["tracking_run_id"]
    assert search(runs, f"tags.`zeropan.rerun_of` = '{origin}'") == {
        runs["again"]["tracking_run_id"]
    }
    assert len(search(runs, f"tags.`mlflow.parentRunId` = '{parent}'")) == 2
    assert search(runs, "tags.`zeropan.changed` LIKE '%box_threshold%'") == {
        runs["again"]["tracking_run_id"]
    }


def test_by_what_was_set(runs: dict[str, Any]) -> None:
    found = search(runs, "params.`things/box_threshold` = '0.6'")
    assert found == {runs["again"]["tracking_run_id"]}
