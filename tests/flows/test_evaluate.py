"""zeropan eval: the table against the truth, cached work reused, a bad name refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from zeropan.command.main import main
from zeropan.errors import BadInput
from zeropan.flows.evaluate_dataset import evaluate
from zeropan.request.truth_sources import open_source, scene_range
from zeropan.scenes.export import export_scenes
from zeropan.segmentation.config import PipelineConfig, ThingsConfig


def test_scenes_are_measured_and_a_changed_threshold_reuses_perception(tmp_path: Path) -> None:
    first = evaluate("scenes:300-302", home=str(tmp_path))
    assert first["metrics"]["quality/pq"] > 0.6
    assert (first["stages_computed"], first["stages_cached"]) == (21, 0)
    assert [row["category"] for row in first["rows"][:3]] == ["all", "things", "stuff"]
    run = MlflowClient(first["tracking_uri"]).get_run(first["tracking_run_id"])
    assert run.data.metrics["quality/pq"] == pytest.approx(first["metrics"]["quality/pq"])
    assert "| category |" in run.data.tags["mlflow.note.content"]

    blind = PipelineConfig(things=ThingsConfig(box_threshold=1.0))
    second = evaluate("scenes:300-302", config=blind, home=str(tmp_path))
    assert (second["stages_computed"], second["stages_cached"]) == (12, 9)
    assert second["metrics"]["quality/pq_things"] == 0
    again = evaluate("scenes:300-302", home=str(tmp_path))
    assert again["stages_cached"] == 21
    assert again["metrics"] == first["metrics"]


def test_an_exported_data_set_gives_the_numbers_of_its_scenes(tmp_path: Path) -> None:
    export_scenes(tmp_path / "set", [300, 301])
    exported = evaluate(str(tmp_path / "set"), home=str(tmp_path / "home"))
    rendered = evaluate("scenes:300-301", home=str(tmp_path / "home"))
    assert exported["metrics"] == rendered["metrics"]
    assert exported["metrics"]["quality/pq"] > 0.6

    moved = tmp_path / "elsewhere"
    (tmp_path / "set" / "images").rename(moved)
    with pytest.raises(BadInput, match="name the folder of images with --images"):
        open_source(str(tmp_path / "set"), tmp_path)
    json_path = tmp_path / "set" / "annotations" / "panoptic.json"
    named = evaluate(str(json_path), images=str(moved), limit=1, home=str(tmp_path / "home"))
    assert (named["stages_cached"], len(named["images"])) == (7, 1)


def test_images_of_another_size_than_their_truth_are_refused(tmp_path: Path) -> None:
    export_scenes(tmp_path / "set", [300], height=64, width=64)
    picture = tmp_path / "set" / "images" / "scene-000300.png"
    with Image.open(picture) as image:
        image.resize((80, 64)).save(picture)
    with pytest.raises(BadInput, match=r"has 80x64 pixels, but its truth 64x64"):
        evaluate(str(tmp_path / "set"), home=str(tmp_path / "home"))


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
