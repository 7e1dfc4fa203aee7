"""Each trainer takes a few steps, and goes on from its checkpoint as if it had not stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import training.text_segmenter.train as text_segmenter_training
from training.common import load_checkpoint, set_up_process
from training.curve import Curve
from training.detector.train import DetectorTrainer
from training.detector.train import Recipe as DetectorRecipe
from training.loop import CHECKPOINT, Pace, Run, Trainer, train
from training.scene_cache import load_or_render, open_cache
from training.segmenter.export import export as export_segmenter
from training.segmenter.model import TINY
from training.segmenter.train import Recipe as SegmenterRecipe
from training.segmenter.train import SegmenterTrainer
from training.text_segmenter.data import SceneSource
from training.text_segmenter.train import Recipe as TextSegmenterRecipe
from training.text_segmenter.train import TextSegmenterTrainer

# So long that no share of it passes in a test: the rate then is the same in every run.
MINUTES = 1e12


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    load_or_render(folder, seed_start=5_000_000, count=3, size=64, workers=1)
    return folder


def new_detector(cache: Path, out: Path) -> Trainer:
    recipe = DetectorRecipe(minutes=MINUTES, batch=1)
    return DetectorTrainer(recipe, open_cache(cache), out, out / "export")


def new_segmenter(cache: Path, out: Path) -> Trainer:
    recipe = SegmenterRecipe(minutes=MINUTES, batch=1, boxes=1, point_sets=1)
    small = replace(TINY, image_size=64, encoder_depth=3, decoder_mlp_dim=128)
    return SegmenterTrainer(recipe, open_cache(cache), small)


def new_text_segmenter(cache: Path, out: Path) -> Trainer:
    recipe = TextSegmenterRecipe(minutes=MINUTES, batch=1)
    return TextSegmenterTrainer(recipe, SceneSource(cache), out / "export")


@pytest.mark.parametrize("new", [new_detector, new_segmenter, new_text_segmenter])
def test_a_trainer_takes_steps_and_goes_on_from_its_checkpoint(
    new: Callable[[Path, Path], Trainer],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_segmenter_training, "VALIDATION_SEEDS", range(100, 101))
    # Most of a step's time on a processor without bfloat16, and of no account here.
    monkeypatch.setattr(torch.optim, "Muon", partial(torch.optim.Muon, ns_steps=1))
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)

    def run(folder: str, steps: int) -> dict[str, Tensor]:
        set_up_process(seed=0)
        out = tmp_path / folder
        trainer = new(cache, out)
        first = {name: value.clone() for name, value in trainer.run.ema.shadow.items()}
        train(trainer, out, Curve(out / "curve.jsonl"), most_steps=steps)
        assert trainer.run.step == steps
        moved = [
            name for name in first if not torch.equal(first[name], trainer.run.ema.shadow[name])
        ]
        assert len(moved) > len(first) / 2
        assert all(torch.isfinite(value).all() for value in trainer.run.ema.shadow.values())
        return trainer.run.ema.shadow

    whole = run("whole", 2)
    run("stopped", 1)
    resumed = run("stopped", 2)
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)
    if new is new_segmenter:
        export_segmenter(tmp_path / "whole" / CHECKPOINT, tmp_path / "whole" / "export")
    assert (tmp_path / "whole" / "export" / "model.safetensors").stat().st_size > 1_000_000


class Line:
    """y = w x, to be 3 x; as small as a trainer can be."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5)
        self.run = Run(self.model, (optimizer,), examples=4, minutes=MINUTES, seed=0)
        self.exports: list[int] = []
        self.broken = False

    def losses(self, progress: float) -> tuple[Tensor, dict[str, float]]:
        indices = self.run.order.take(2)
        inputs = torch.from_numpy(indices).float()[:, None] + 1
        loss = (self.model(inputs) - 3 * inputs).square().mean()
        return (loss * float("nan") if self.broken else loss), {"first": float(indices[0])}

    def examples(self) -> int:
        return 4

    def measure(self) -> dict[str, float]:
        return {"weight": self.model.weight.item()}

    def export(self) -> None:
        self.exports.append(self.run.step)


def lines(curve: Curve) -> list[dict[str, float]]:
    return [json.loads(line) for line in curve.path.read_text().splitlines()]


def test_the_curve_has_a_line_every_so_many_steps(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "curve.jsonl")
    line = Line(Pace(report_every=2))
    train(line, tmp_path, curve, most_steps=5)
    assert [found["step"] for found in lines(curve)] == [2, 4]
    assert set(lines(curve)[0]) == {"step", "seconds", "rate", "first", "norm", "weight"}
    assert line.exports == [5]


def test_or_a_line_with_every_checkpoint(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "curve.jsonl")
    line = Line(Pace(save_every_s=-1.0))
    train(line, tmp_path, curve, most_steps=2)
    assert [found["step"] for found in lines(curve)] == [1, 2, 2]
    assert line.exports == [1, 2, 2]
    assert "norm" not in lines(curve)[2]  # nothing was done since the line before


def test_no_time_left_is_no_step_but_a_checkpoint(tmp_path: Path) -> None:
    line = Line(Pace(report_every=1))
    line.run.clock.load_state_dict({"elapsed_s": MINUTES * 60})
    train(line, tmp_path, Curve(tmp_path / "curve.jsonl"))
    assert (load_checkpoint(tmp_path / CHECKPOINT) or {})["step"] == 0


def test_a_step_without_finite_gradients_changes_no_weight(tmp_path: Path) -> None:
    line = Line(Pace(report_every=10))
    line.broken = True
    train(line, tmp_path, Curve(tmp_path / "curve.jsonl"), most_steps=3)
    assert line.run.step == 3
    assert line.run.ema.updates == 0
    assert line.model.weight.item() == 0.0
