"""The parts of a run: schedule, optimizers, average of weights, data order, clock, checkpoints.

Nothing here knows a model. `training.loop` puts the parts together.
"""

from __future__ import annotations

import io
import logging
import math
import random
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zeropan.machine.files import write_whole


def set_up_process(*, seed: int, threads: int = 1) -> None:
    """Log to standard error, seed every generator, and use `threads` CPU threads."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S"
    )
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def cosine_with_warmup(progress: float, *, warmup: float = 0.03, floor: float = 0.02) -> float:
    """Factor of the learning rate: linear from 0 to 1, then a half cosine down to `floor`.

    Args:
        progress: done share of the run, in [0, 1] (clipped); of steps or of time, as the caller
            counts.
        warmup: share of the run that warms up.
        floor: factor at the end.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    left = (progress - warmup) / max(1.0 - warmup, 1e-9)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * left))


def muon_and_adamw(
    matrices: list[nn.Parameter],
    others: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
    *,
    muon_rate: float,
    adamw_rate: float,
    weight_decay: float,
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon (Jordan et al., 2024) for the matrices inside a network, AdamW for the rest.

    Args:
        matrices: parameters of two dimensions; without any there is no Muon.
        others: parameters, or AdamW's groups of them.
        muon_rate: of the matrices, scaled so that their updates are of AdamW's size.
        adamw_rate: of the rest, where a group does not say otherwise.
        weight_decay: of all.
    """
    adamw = torch.optim.AdamW(others, lr=adamw_rate, betas=(0.9, 0.98), weight_decay=weight_decay)
    if not matrices:
        return (adamw,)
    muon = torch.optim.Muon(
        matrices, lr=muon_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    return (adamw, muon)


def scale_learning_rates(optimizers: tuple[torch.optim.Optimizer, ...], factor: float) -> None:
    """Set every group's rate to `factor` times its first rate (kept as "base_lr" in the group)."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("base_lr", group["lr"])
            group["lr"] = group["base_lr"] * factor


class Ema:
    """Exponential moving average of a module's parameters and floating-point buffers.

    The decay grows with the number of updates, (1 + n) / (10 + n), up to `decay`, so that the
    first random weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, *, decay: float = 0.998) -> None:
        """Start from a copy of the module's state."""
        self.decay = decay
        self.updates = 0
        self.shadow = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the module's present state."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in module.state_dict().items():
            kept = self.shadow[name]
            if kept.is_floating_point():
                kept.lerp_(value.detach(), 1.0 - decay)
            else:
                kept.copy_(value)

    def copy_to(self, module: nn.Module) -> None:
        """Load the averaged state into a module of the same architecture."""
        module.load_state_dict(self.shadow)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes back."""
        return {"updates": self.updates, "shadow": self.shadow}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.updates = int(state["updates"])
        for name, value in state["shadow"].items():
            self.shadow[name].copy_(value)


class DataOrder:
    """Shuffled indices without end: every index once an epoch, the same for the same seed.

    The data may grow while a run goes on (a cache that is still being filled): `grow` takes
    effect with the next epoch, so the order of a running epoch never changes.
    """

    def __init__(self, count: int, *, seed: int) -> None:
        """Order `count` (at least 1) indices."""
        if count < 1:
            raise ValueError(f"count: expected at least 1 example, got {count}")
        self.seed = seed
        self.count = count
        self.next_count = count
        self.epoch = 0
        self.offset = 0
        self._permutation = self._permute()

    def _permute(self) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, self.epoch)).permutation(self.count)

    def grow(self, count: int) -> None:
        """Use `count` examples from the next epoch on."""
        self.next_count = max(self.next_count, count)

    def take(self, size: int) -> NDArray[np.int64]:
        """The next `size` indices: int64 (size,)."""
        taken: list[NDArray[np.int64]] = []
        missing = size
        while missing > 0:
            if self.offset >= self.count:
                self.epoch += 1
                self.offset = 0
                self.count = self.next_count
                self._permutation = self._permute()
            part = self._permutation[self.offset : self.offset + missing]
            taken.append(part)
            self.offset += len(part)
            missing -= len(part)
        return np.concatenate(taken)

    def state_dict(self) -> dict[str, int]:
        """What `load_state_dict` takes back."""
        return {
            "seed": self.seed,
            "count": self.count,
            "next_count": self.next_count,
            "epoch": self.epoch,
            "offset": self.offset,
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a saved position."""
        self.seed = state["seed"]
        self.count = state["count"]
        self.next_count = max(state["next_count"], self.next_count)
        self.epoch = state["epoch"]
        self.offset = state["offset"]
        self._permutation = self._permute()


class Clock:
    """Training time against a budget; the time before a resume counts."""

    def __init__(self, minutes: float) -> None:
        """Start to count towards a budget of `minutes`."""
        self.budget_s = minutes * 60.0
        self._before_s = 0.0
        self._started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, over all resumes."""
        return self._before_s + time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """Used share of the budget; 1 or more when it is spent."""
        return self.elapsed_s / self.budget_s

    def state_dict(self) -> dict[str, float]:
        """What `load_state_dict` takes back."""
        return {"elapsed_s": self.elapsed_s}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from a saved time."""
        self._before_s = float(state["elapsed_s"])
        self._started = time.monotonic()


def rng_state() -> dict[str, Any]:
    """The states of the global generators of torch, NumPy and Python."""
    kind, keys, position, has_gauss, gauss = cast(tuple[Any, ...], np.random.get_state())
    version, internal, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "python": (version, list(internal), gauss_next),
    }


def restore_rng_state(state: Mapping[str, Any]) -> None:
    """Put back what `rng_state` returned."""
    torch.set_rng_state(state["torch"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state`; an interrupted write leaves the older checkpoint."""
    stream = io.BytesIO()
    torch.save(dict(state), stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, stream.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state that `save_checkpoint` wrote, on the CPU; None where there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
