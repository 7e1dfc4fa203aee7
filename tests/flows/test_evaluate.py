"""zeropan eval: the table against the truth, cached work reused, a bad name refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from tests.commands import measure
from zeropan.command.main import main
from zeropan.errors import BadInput, TooManyFailures
from zeropan.request.truth_sources import open_source, scene_range
from zeropan.scenes.export import export_scenes
from zeropan.segmentation.config import PipelineConfig, ThingsConfig


def stages(report: dict[str, Any]) -> tuple[int, int]:
    """How many stages were computed, and how many cached."""
    totals = report["stages"].values()
    return sum(t["computed"] for t in totals), sum(t["cached"] for t in totals)


def test_scenes_are_measured_and_a_changed_threshold_reuses_perception(tmp_path: Path) -> None:
    first = measure("scenes:300-302", home=str(tmp_path))
    assert first["metrics_of_quality"]["quality/pq"] > 0.6
    assert stages(first) == (21, 0)
    assert [row["category"] for row in first["rows"][:3]] == ["all", "things", "stuff"]
    run = MlflowClient(first["tracking_uri"]).get_run(first["tracking_run_id"])
    assert run.data.metrics["quality/pq"] == pytest.approx(
        first["metrics_of_quality"]["quality/pq"]
    )
    assert "| category |" in run.data.tags["mlflow.note.content"]

    blind = PipelineConfig(things=ThingsConfig(box_threshold=1.0))
    second = measure("scenes:300-302", config=blind, home=str(tmp_path))
    assert stages(second) == (12, 9)
    assert second["metrics_of_quality"]["quality/pq_things"] == 0
    again = measure("scenes:300-302", home=str(tmp_path))
    assert stages(again) == (0, 21)
    assert again["metrics_of_quality"] == first["metrics_of_quality"]


def test_an_exported_data_set_gives_the_numbers_of_its_scenes(tmp_path: Path) -> None:
    export_scenes(tmp_path / "set", [300, 301])
    exported = measure(str(tmp_path / "set"), home=str(tmp_path / "home"))
    rendered = measure("scenes:300-301", home=str(tmp_path / "home"))
    assert exported["metrics_of_quality"] == rendered["metrics_of_quality"]
    assert exported["metrics_of_quality"]["quality/pq"] > 0.6

    moved = tmp_path / "elsewhere"
    (tmp_path / "set" / "images").rename(moved)
    with pytest.raises(BadInput, match="name the folder of images with --images"):
        open_source(str(tmp_path / "set"), tmp_path)
    json_path = tmp_path / "set" / "annotations" / "panoptic.json"
    named = measure(str(json_path), images=str(moved), limit=1, home=str(tmp_path / "home"))
    assert (stages(named), named["total"]) == ((0, 7), 1)


def test_images_of_another_size_than_their_truth_are_refused(tmp_path: Path) -> None:
    export_scenes(tmp_path / "set", [300], height=64, width=64)
    picture = tmp_path / "set" / "images" / "scene-000300.png"
    with Image.open(picture) as image:
        image.resize((80, 64)).save(picture)
    with pytest.raises(TooManyFailures, match=r"has 80x64 pixels, but its truth 64x64"):
        measure(str(tmp_path / "set"), home=str(tmp_path / "home"))


def test_a_folder_must_hold_one_data_set(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no annotations/panoptic\*.json"):
        open_source(str(tmp_path), tmp_path)
    (tmp_path / "panoptic_a.json").touch()
    (tmp_path / "panoptic_b.json").touch()
    with pytest.raises(BadInput, match=r"several panoptic JSON files \(panoptic_a.json, pan"):
        open_source(str(tmp_path), tmp_path)


def test_ranges() -> None:
    assert scene_range("scenes:3") == range(3)
    assert scene_range("scenes:5-7") == range(5, 8)
    for bad in ("scenes:0", "scenes:7-5", "scenes:x", "somewhere", "scenes:-3"):
        with pytest.raises(BadInput):
            scene_range(bad)


def test_a_bad_name_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["zeropan", "eval", "nowhere", "--home", str(tmp_path / "h")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "'nowhere'" in capsys.readouterr().err
    assert not (tmp_path / "h").exists()
