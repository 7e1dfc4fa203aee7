"""zeropan eval: the table against the truth, cached work reused, a bad name refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from flows.cli import main
from flows.eval_sources import scene_range
from flows.evaluate import evaluate
from segmentation.config import PipelineConfig, ThingsConfig
from segmentation.errors import BadInput


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
