"""zeropan rerun: a recorded run with other parameters, here, elsewhere, and with things gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from tests.commands import STUFF, THINGS, again, how, report_of, segment
from zeropan.errors import BadInput
from zeropan.flows.rerun_recorded import forced
from zeropan.models import loading, presets
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import entries

Home = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def home(scene_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = tmp_path_factory.mktemp("home")
    picture = home / "tabletop.png"
    shutil.copy(scene_file, picture)
    report = segment(
        images=[str(picture)], words={"things": THINGS, "stuff": STUFF}, home=str(home)
    )
    return home, report


def computed(report: dict[str, Any]) -> list[str]:
    return [stage for stage, was in how(report).items() if was == "computed"]


def test_a_changed_threshold_computes_what_depends_on_it_and_says_what_came_of_it(
    home: Home,
) -> None:
    folder, before = home
    origin = before["tracking_run_id"]
    report = again(origin[:8], changes=["things.box_threshold=0.97"], home=str(folder))
    assert computed(report) == ["things", "stuff_regions", "stuff_masks", "panoptic"]
    assert report["rerun_of"] == origin
    assert report["changed"] == {"things.box_threshold": "0.3 → 0.97"}
    change = report["images"][0]["change"]
    things = sum(n for name, n in before["images"][0]["segments"].items() if name in THINGS)
    left = sum(n for name, n in report["images"][0]["segments"].items() if name in THINGS)
    assert sum(change["lost"].values()) - sum(change["gained"].values()) == things - left > 0
    assert 0 < change["changed_pixels"] < 1

    run = MlflowClient(report["tracking_uri"]).get_run(report["tracking_run_id"])
    assert run.data.tags["zeropan.rerun_of"] == origin
    assert run.data.tags["zeropan.changed"] == "things.box_threshold 0.3 → 0.97"
    assert run.info.run_name == "box_threshold 0.3 → 0.97 · tabletop.png"
    assert run.data.params["things/box_threshold"] == "0.97"
    assert run.data.metrics["change/lost"] == sum(change["lost"].values())
    assert origin in run.data.tags["mlflow.note.content"]


def test_latest_is_the_run_that_started_last(home: Home) -> None:
    folder, before = home
    one = again(
        before["tracking_run_id"], changes=["panoptic.min_stuff_area=0.4"], home=str(folder)
    )
    two = again("latest", changes=["panoptic.fill=region"], home=str(folder))
    assert two["rerun_of"] == one["tracking_run_id"]
    assert two["changed"] == {"panoptic.fill": "none → region"}
    assert computed(two) == ["panoptic"]


def test_nothing_changed_is_answered_from_the_cache(home: Home) -> None:
    folder, before = home
    report = again(before["tracking_run_id"], home=str(folder))
    assert computed(report) == []
    assert report["images"][0]["change"]["changed_pixels"] == 0


def test_a_forced_stage_and_those_below_it_are_computed_again_to_the_same_bytes(home: Home) -> None:
    folder, before = home
    store = ArtifactStore(before["store"])
    keys = {str(entry.key) for entry in entries(store)}
    report = again(before["tracking_run_id"], from_stage="stuff-masks", home=str(folder))
    assert computed(report) == ["stuff_masks", "panoptic"]
    assert report["images"][0]["change"]["changed_pixels"] == 0
    assert {str(entry.key) for entry in entries(store)} == keys
    assert forced("ground_things") == (
        "ground_things", "things", "stuff_regions", "stuff_masks", "panoptic",
    )  # fmt: skip
    with pytest.raises(BadInput, match="'step3' is no stage; use one of embed_image, "):
        forced("step3")


def test_another_home_that_shares_the_store_and_the_tracking_server(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = home
    monkeypatch.setenv("MLFLOW_TRACKING_URI", before["tracking_uri"])
    report = again(
        before["tracking_run_id"], changes=["panoptic.min_stuff_area=0.3"], home=str(tmp_path)
    )
    assert report["store"] == before["store"]
    assert computed(report) == ["panoptic"]
    assert Path(report["images"][0]["overlay"]).is_relative_to(tmp_path)


def test_an_image_that_is_gone_or_has_changed_costs_a_warning_and_no_result(home: Home) -> None:
    folder, before = home
    picture = Path(before["images"][0]["image"])
    kept = picture.read_bytes()
    try:
        picture.unlink()
        report = again(
            before["tracking_run_id"], changes=["things.box_threshold=0.6"], home=str(folder)
        )
        assert computed(report) == ["things", "stuff_regions", "stuff_masks", "panoptic"]
        (warning,) = report["warnings"]
        assert "tabletop.png" in warning and "are shown on white" in warning

        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
        report = again(
            before["tracking_run_id"], changes=["things.box_threshold=0.5"], home=str(folder)
        )
        assert "is no longer the image that was segmented" in report["warnings"][0]
    finally:
        picture.write_bytes(kept)


def test_weights_that_are_gone_leave_the_stages_that_need_none(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, before = home
    monkeypatch.setattr(presets, "BUNDLED", tmp_path / "nowhere")
    loading._load.cache_clear()
    report = again(
        before["tracking_run_id"], changes=["panoptic.min_stuff_area=0.2"], home=str(folder)
    )
    assert computed(report) == ["panoptic"]
    with pytest.raises(Exception, match="which ships with zeropan, is not there"):
        again(before["tracking_run_id"], changes=["things.box_threshold=0.7"], home=str(folder))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["feedbeef"], "'feedbeef' names no run at"),
        (["ab"], "'ab' names no run; give a run id, at least 4 characters of one, or latest"),
        (["latest", "--set", "things.box_treshold=0.2"], "did you mean 'things.box_threshold'"),
        (["latest", "--set", "things.box_threshold=2"], "things.box_threshold=2 is not possible"),
        (["latest", "--from", "step9"], "'step9' is no stage"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    home: Home,
    zeropan: Callable[..., Any],
    arguments: list[str],
    sentence: str,
) -> None:
    finished = zeropan("rerun", *arguments, "--home", home[0])
    assert finished.returncode == 2
    assert sentence in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


def test_the_command_prints_what_changed(home: Home, zeropan: Callable[..., Any]) -> None:
    folder, before = home
    run = before["tracking_run_id"][:10]
    arguments = ["rerun", run, "--set", "things.box_threshold=0.99", "--home", folder]
    finished = zeropan(*arguments)
    assert finished.returncode == 0, finished.stderr
    assert "things.box_threshold 0.3 → 0.99" in finished.stdout
    assert "of pixels changed" in finished.stdout
    assert finished.stderr == ""
    repeated = report_of(zeropan(*arguments, "--json"))
    assert computed(repeated) == []


def test_a_home_without_runs(tmp_path: Path, zeropan: Callable[..., Any]) -> None:
    finished = zeropan("rerun", "--home", tmp_path / "empty")
    assert finished.returncode == 2
    assert "no run has been recorded at" in finished.stderr
    assert not (tmp_path / "empty").exists()
