"""The one run loop of the three trainers.

A trainer says what is trained, on what and how often to look; the loop keeps the whole state of a
run in one file, so that a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from training.common import (
    Clock,
    DataOrder,
    Ema,
    cosine_with_warmup,
    load_checkpoint,
    restore_rng_state,
    rng_state,
    save_checkpoint,
    scale_learning_rates,
)
from training.curve import Curve

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
"""Name of the state's file in a run's folder."""


@dataclass(frozen=True)
class Pace:
    """How a run goes along."""

    warmup: float = 0.03
    """Share of the run in which the learning rates rise."""
    clip: float = 1.0
    """The gradient's greatest norm."""
    save_every_s: float = 120.0
    report_every: int | None = None
    """Steps between two lines of the curve; None: a line with every checkpoint."""


class Run:
    """Everything that a run changes."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: tuple[torch.optim.Optimizer, ...],
        *,
        examples: int,
        minutes: float,
        seed: int,
        ema_decay: float = 0.998,
    ) -> None:
        """Start at step 0 and start the clock.

        Args:
            model: with the weights to begin with.
            optimizers: of its parameters.
            examples: how many there are to draw from, at least 1.
            minutes: of training, over all resumes.
            seed: of the order of the examples and of `rng`.
            ema_decay: of the average of the weights.
        """
        self.model = model
        self.optimizers = optimizers
        self.ema = Ema(model, decay=ema_decay)
        self.order = DataOrder(examples, seed=seed)
        self.clock = Clock(minutes)
        self.rng = np.random.default_rng(seed)
        self.step = 0

    def save(self, path: Path) -> None:
        """Write the checkpoint."""
        state: dict[str, Any] = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "ema": self.ema.state_dict(),
            "order": self.order.state_dict(),
            "clock": self.clock.state_dict(),
            "rng": rng_state(),
            "numpy": self.rng.bit_generator.state,
        }
        save_checkpoint(path, state)

    def resume(self, path: Path) -> bool:
        """Go on from the checkpoint; False where there is none."""
        state = load_checkpoint(path)
        if state is None:
            return False
        self.step = int(state["step"])
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.ema.load_state_dict(state["ema"])
        self.order.load_state_dict(state["order"])
        self.clock.load_state_dict(state["clock"])
        restore_rng_state(state["rng"])
        self.rng.bit_generator.state = state["numpy"]
        return True


class Trainer(Protocol):
    """What differs between trainers."""

    run: Run
    pace: Pace

    def losses(self, progress: float) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        """Draw a batch and compute its loss.

        Args:
            progress: done share of the run, from 0 to 1.

        Returns:
            The scalar to minimise, and the scalars whose means the curve shows.
        """
        ...

    def examples(self) -> int:
        """How many examples there are by now; they may grow while a run goes on."""
        ...

    def measure(self) -> dict[str, float]:
        """What else a line of the curve shows, measured now."""
        ...

    def export(self) -> None:
        """Write the averaged weights where others load them, if this trainer does."""
        ...


def train(trainer: Trainer, folder: Path, curve: Curve, *, most_steps: int | None = None) -> None:
    """Train until the time is spent.

    Args:
        trainer: what is trained; its run goes on from the folder's checkpoint, if there is one.
        folder: of the checkpoint.
        curve: takes the measurements.
        most_steps: end after so many, counted over all resumes, though there is time left.
    """
    run, pace, path = trainer.run, trainer.pace, folder / CHECKPOINT
    if run.resume(path):
        logger.info("going on from step %d after %.0f s", run.step, run.clock.elapsed_s)
    run.order.grow(trainer.examples())
    run.model.train()
    saved_at = run.clock.elapsed_s
    shown = _Means()
    while run.clock.progress < 1.0 and (most_steps is None or run.step < most_steps):
        shown.add(_advance(trainer))
        if pace.report_every is not None and run.step % pace.report_every == 0:
            _report(trainer, curve, shown.take())
        if run.clock.elapsed_s - saved_at > pace.save_every_s:
            run.order.grow(trainer.examples())
            run.save(path)
            if pace.report_every is None:
                _report(trainer, curve, shown.take())
            trainer.export()
            saved_at = run.clock.elapsed_s
    run.save(path)
    if pace.report_every is None:
        _report(trainer, curve, shown.take())
    trainer.export()


def _advance(trainer: Trainer) -> dict[str, float | Tensor]:
    """One step of the optimizers; what there is to show of it."""
    run, pace = trainer.run, trainer.pace
    progress = run.clock.progress
    rate = cosine_with_warmup(progress, warmup=pace.warmup)
    scale_learning_rates(run.optimizers, rate)
    loss, parts = trainer.losses(progress)
    for optimizer in run.optimizers:
        optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = nn.utils.clip_grad_norm_(run.model.parameters(), pace.clip)
    # A single overflow would leave no weight finite, and no later step could mend that.
    if torch.isfinite(norm):
        for optimizer in run.optimizers:
            optimizer.step()
        run.ema.update(run.model)
    run.step += 1
    return {"rate": rate, **parts, "norm": norm}


def _report(trainer: Trainer, curve: Curve, means: Mapping[str, float]) -> None:
    seconds = trainer.run.clock.elapsed_s
    curve.add(trainer.run.step, seconds=seconds, **means, **trainer.measure())


class _Means:
    """Means of the same values over several steps."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: Mapping[str, float | Tensor]) -> None:
        for name, value in values.items():
            plain = float(value.detach() if isinstance(value, Tensor) else value)
            self._sums[name] = self._sums.get(name, 0.0) + plain
        self._count += 1

    def take(self) -> dict[str, float]:
        """The means since they were last taken; none where nothing was added."""
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


def command_line(description: str | None, *, minutes: float) -> argparse.ArgumentParser:
    """What the trainers' commands have in common; `minutes` is the default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cache", type=Path, required=True, help="folder of training.scene_cache")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--curve", type=Path, help="JSON lines; default: curve.jsonl in --out")
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--steps", type=int, help="end after so many, to try things out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mlflow", "--mlflow-uri", help="tracking URI; none by default")
    return parser


def train_as_asked(trainer: Trainer, given: argparse.Namespace, name: str) -> None:
    """Train with the options of `command_line`; `name` is the curve's, in MLflow."""
    curve = Curve(given.curve or given.out / "curve.jsonl", mlflow_uri=given.mlflow, name=name)
    train(trainer, given.out, curve, most_steps=given.steps)
    curve.close()
