"""zeropan sweep: perception once, every point a nested run, an interrupted one goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.commands import report_of
from tests.commands import swept as sweep
from zeropan.errors import BadInput
from zeropan.flows import sweep_images as module

GRID = ["things.box_threshold=0.3,0.9", "panoptic.min_stuff_area=0.005,0.2"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    home = tmp_path_factory.mktemp("home")
    return home, sweep(GRID, dataset="scenes:300-301", home=str(home))


def test_perception_runs_once_and_only_what_differs_is_computed(
    swept: tuple[Path, dict[str, Any]],
) -> None:
    _, report = swept
    # Two images: seven stages, then panoptic alone, then the four steps, then panoptic alone.
    assert [point["computed"] for point in report["points"]] == [14, 2, 8, 2]
    # Seven of each image at three points, none at the last, whose images are asked for in full.
    assert report["task_runs"] == 4 + 2 * 7 * 4
    assert (
        report["best"] == max(report["points"], key=lambda p: p["metrics"]["quality/pq"])["values"]
    )
    assert report["best"]["things.box_threshold"] == 0.3


def test_every_point_is_a_run_below_the_sweep(swept: tuple[Path, dict[str, Any]]) -> None:
    _, report = swept
    client = MlflowClient(report["tracking_uri"])
    parent = client.get_run(report["tracking_run_id"])
    assert parent.data.metrics["sweep/points"] == 4
    assert "Best: **things.box_threshold=0.3" in parent.data.tags["mlflow.note.content"]
    names = set()
    for point in report["points"]:
        run = client.get_run(point["run_id"])
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.metrics["quality/pq"] == pytest.approx(point["metrics"]["quality/pq"])
        values = point["values"]
        assert run.data.params["things/box_threshold"] == str(values["things.box_threshold"])
        assert run.data.tags["mlflow.loggedImages"] == "True"
        names.add(run.info.run_name)
    assert "box_threshold 0.9 · min_stuff_area 0.2" in names and len(names) == 4


def test_a_sweep_that_was_interrupted_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    measure = module.Sweep._measure

    def stop_at_the_third(self: Any, *rest: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] == 2:
            raise KeyboardInterrupt
        return measure(self, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(module.Sweep, "_measure", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            sweep(GRID, dataset="scenes:300-300", home=str(tmp_path))
    again = sweep(GRID, dataset="scenes:300-300", home=str(tmp_path))
    assert calls == [0, 1, 2]
    assert [point["resumed"] for point in again["points"]] == [True, True, False, False]
    assert [point["computed"] for point in again["points"]] == [0, 0, 4, 1]
    client = MlflowClient(again["tracking_uri"])
    parents = {client.get_run(p["run_id"]).data.tags["mlflow.parentRunId"] for p in again["points"]}
    assert parents == {again["tracking_run_id"]}
    # A point's numbers are the same, resumed or not.
    fresh = sweep(GRID, dataset="scenes:300-300", home=str(tmp_path / "other"))
    for one, other in zip(again["points"], fresh["points"], strict=True):
        assert one["metrics"]["quality/pq"] == pytest.approx(other["metrics"]["quality/pq"])


def test_images_with_words_have_no_best_point(
    scene_file: Path, tmp_path: Path, zeropan: Callable[..., Any], words: list[str]
) -> None:
    arguments = ["sweep", scene_file, *words, "--grid", "things.box_threshold=0.3,0.8"]
    report = report_of(zeropan(*arguments, "--home", tmp_path, "--json"))
    assert report["best"] is None
    counts = [point["metrics"]["count/things"] for point in report["points"]]
    assert counts[0] > counts[1]
    shown = zeropan(*arguments, "--home", tmp_path)
    assert shown.returncode == 0 and shown.stderr == ""
    assert "2 points were finished before" in shown.stdout


def test_a_mistake_is_found_before_any_work(
    scene_file: Path, tmp_path: Path, zeropan: Callable[..., Any]
) -> None:
    finished = zeropan(
        "sweep", scene_file, "--things", "cup", "--grid", "things.box_threshold=3",
        "--home", tmp_path / "h",
    )  # fmt: skip
    assert finished.returncode == 2
    assert "things.box_threshold=3 is not possible" in finished.stderr
    assert not (tmp_path / "h").exists()
    with pytest.raises(BadInput, match="needs images with words, or a data set"):
        sweep(GRID, home=str(tmp_path))
