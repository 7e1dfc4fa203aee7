"""A mistake of the user's: one sentence that names it, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zeropan.command.main import main

GOOD = ("--things", "nigiri", "--stuff", "wood")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bad")
    good = folder / "good.png"
    Image.new("RGB", (64, 48), "tan").save(good)
    truncated = folder / "truncated.png"
    truncated.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    text = folder / "notes.png"
    text.write_text("this is no picture")
    empty = folder / "empty.jpg"
    empty.touch()
    broken = folder / "broken.yaml"
    broken.write_text("things: [unclosed")
    unknown = folder / "unknown.yaml"
    unknown.write_text("thing: {box_threshold: 0.1}")
    barren = folder / "barren"
    barren.mkdir()
    return {
        "good": good,
        "barren": barren,
        "missing": folder / "missing.png",
        "truncated": truncated,
        "text": text,
        "empty": empty,
        "broken": broken,
        "unknown": unknown,
    }


CASES: dict[str, tuple[list[str], list[str]]] = {
    "missing file": (["{missing}", *GOOD], ["missing.png", "does not exist"]),
    "a folder without images": (["{barren}", *GOOD], ["barren", "no image"]),
    "a pattern that fits nothing": (["{barren}/*.png", *GOOD], ["barren/*.png"]),
    "not an image": (["{text}", *GOOD], ["notes.png", "not an image"]),
    "empty file": (["{empty}", *GOOD], ["empty.jpg", "empty"]),
    "one bad among good": (["{good}", "{text}", *GOOD], ["notes.png"]),
    "too many pixels": (["{good}", *GOOD, "--max-pixels", "100"], ["good.png", "100"]),
    "unknown parameter": (
        ["{good}", *GOOD, "--set", "things.box_treshold=0.2"],
        ["things.box_treshold", "things.box_threshold"],
    ),
    "unknown stage": (
        ["{good}", *GOOD, "--set", "thing.box_threshold=0.2"],
        ["things.box_threshold"],
    ),
    "parameter without its stage": (
        ["{good}", *GOOD, "--set", "box_threshold=0.2"],
        ["box_threshold", "stage.parameter=value"],
    ),
    "out of range": (["{good}", *GOOD, "--set", "things.box_threshold=1.5"], ["1.5", "less than"]),
    "wrong type": (["{good}", *GOOD, "--set", "stuff_masks.seed=many"], ["many", "integer"]),
    "thing and stuff": (
        ["{good}", "--things", "wood, cup", "--stuff", "Wood"],
        ["Wood", "both as a thing and as stuff"],
    ),
    "a word twice": (["{good}", "--things", "cup, cup"], ["'cup'", "twice"]),
    "no words": (["{good}"], ["--things"]),
    "preset without weights": (
        ["{good}", *GOOD, "--preset", "reference"],
        ["sam_vit_h_4b8939.pth (2.56 GB)", "zeropan models pull reference", "ZEROPAN_MODELS"],
    ),
    "unknown model": (["{good}", *GOOD, "--preset", "tiny+sam_vit_x"], ["sam_vit_x", "sam_vit_h"]),
    "unknown device": (["{good}", *GOOD, "--device", "tpu"], ["tpu", "cpu"]),
    "unknown preset": (["{good}", *GOOD, "--preset", "tinny"], ["tinny", "'tiny'"]),
    "unknown method": (["{good}", *GOOD, "--method", "best"], ["best", "reference"]),
    "configuration missing": (["{good}", *GOOD, "--config", "nowhere.yaml"], ["nowhere.yaml"]),
    "configuration broken": (["{good}", *GOOD, "--config", "{broken}"], ["broken.yaml", "YAML"]),
    "configuration unknown key": (
        ["{good}", *GOOD, "--config", "{unknown}"],
        ["'thing'", "'things'"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_sentence_and_exit_code_2(
    case: str,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, fragments = CASES[case]
    home = tmp_path / "home"
    filled = [a.format(**files) if "{" in a else a for a in arguments]
    monkeypatch.setenv("ZEROPAN_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(sys, "argv", ["zeropan", "run", *filled, "--home", str(home)])
    with pytest.raises(SystemExit) as end:
        main()
    shown = capsys.readouterr()
    assert end.value.code == 2, shown.err
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, shown.err
    for fragment in fragments:
        assert fragment in lines[0]
    assert shown.out == ""
    assert not home.exists()


def test_an_image_that_is_broken_behind_its_header_has_failed(
    files: dict[str, Path], tmp_path: Path, zeropan: Any
) -> None:
    finished = zeropan("run", files["truncated"], *GOOD, "--home", tmp_path / "home", "--json")
    assert finished.returncode == 3
    report = json.loads(finished.stdout)
    assert (report["total"], report["failed"]) == (1, 1)
    assert "truncated.png is damaged or cut off" in report["failures"][0]["reason"]
    (line,) = finished.stderr.strip().splitlines()
    assert "truncated.png" in line


def test_the_process_ends_with_exit_code_2_too(tmp_path: Path, zeropan: Any) -> None:
    finished = zeropan("run", tmp_path / "nowhere.png", *GOOD, "--home", tmp_path / "home", env={})
    assert finished.returncode == 2
    assert finished.stderr.strip().splitlines()[0].startswith("zeropan: ")
    assert "Traceback" not in finished.stderr
