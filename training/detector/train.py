"""Train the tiny Grounding DINO on rendered scenes.

    python -m training.detector.train --cache DIR --out DIR --minutes 60 --seed 0

A run that was stopped goes on with the same command; --start begins with a model folder's weights
and only the larger sizes. The averaged weights are exported to
`--export` every few minutes and at the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from training.common import muon_and_adamw, set_up_process
from training.detector.data import make_batch
from training.detector.losses import total_loss
from training.detector.model import CONFIG, new_model, training_pass, write_vocabulary
from training.loop import Pace, Run, command_line, train_as_asked
from training.scene_cache import SceneCache, open_cache
from zeropan.machine.files import write_whole
from zeropan.models.folders import load_weights
from zeropan.models.grounding_dino.build import CaptionTokenizer, quiet_package

SIZES = ((0.0, (128,)), (0.5, (160, 192)), (0.75, (176, 192, 224)))
"""From which share of the run on, which input sides (pixels) are drawn from."""


@dataclass(frozen=True)
class Recipe:
    """What a run is made of."""

    minutes: float
    seed: int = 0
    batch: int = 8
    learning_rate: float = 1e-3
    device: str = "cpu"
    start: Path | None = None
    """A model folder to begin with, instead of random weights."""


def optimizers_of(model: nn.Module, rate: float) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the network and AdamW, slower where it samples, for the rest."""
    matrices, offsets, others = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if "sampling_offsets" in name or "attention_weights" in name:
            offsets.append(parameter)
        elif parameter.ndim != 2 or "embed" in name or "feat_map" in name:
            others.append(parameter)
        else:
            matrices.append(parameter)
    groups: list[dict[str, Any]] = [{"params": others}, {"params": offsets, "lr": rate * 0.3}]
    return muon_and_adamw(
        matrices,
        groups,
        muon_rate=rate,
        adamw_rate=rate,
        weight_decay=0.01,
    )


class DetectorTrainer:
    """The detector on rendered scenes, for `training.loop`."""

    def __init__(self, recipe: Recipe, cache: SceneCache, out: Path, exported: Path) -> None:
        """Build the model.

        Args:
            recipe: what the run is made of.
            cache: the scenes.
            out: takes the vocabulary.
            exported: the model folder to write.
        """
        self.recipe = recipe
        self.pace = Pace(warmup=0.05, save_every_s=180.0, report_every=50)
        self.cache = cache
        self.exported = exported
        self.tokenizer = CaptionTokenizer(write_vocabulary(out))
        self.model = new_model(self.tokenizer).to(recipe.device)
        optimizers = optimizers_of(self.model, recipe.learning_rate)
        if recipe.start:
            load_weights(self.model, recipe.start)
        self.run = Run(
            self.model,
            optimizers,
            examples=len(cache),
            minutes=recipe.minutes,
            seed=recipe.seed,
        )

    def losses(self, progress: float) -> tuple[Tensor, dict[str, float]]:  # noqa: D102
        along = 0.5 + progress / 2 if self.recipe.start else progress
        sides = next(sides for start, sides in reversed(SIZES) if along >= start)
        batch = make_batch(
            self.cache,
            self.run.order.take(self.recipe.batch).tolist(),
            int(self.run.rng.choice(sides)),
            self.tokenizer.encode,
            self.run.rng,
        )
        images = batch.images.to(self.recipe.device)
        with quiet_package():
            predictions = training_pass(self.model, self.tokenizer, images, batch.captions)
        return total_loss(predictions, batch)

    def examples(self) -> int:  # noqa: D102
        return len(self.cache)

    def measure(self) -> dict[str, float]:  # noqa: D102
        return {}

    def export(self) -> None:
        """Write the averaged weights, in half precision, as a model folder."""
        write_vocabulary(self.exported)
        config = json.dumps(CONFIG, indent=1) + "\n"
        write_whole(self.exported / "config.json", config.encode())
        named = dict(self.model.named_parameters(remove_duplicate=False))
        state = {
            name: (value.half() if value.is_floating_point() and name in named else value)
            .detach()
            .cpu()
            .clone()
            .contiguous()
            for name, value in self.run.ema.shadow.items()
        }
        write_whole(self.exported / "model.safetensors", save(state))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and train."""
    parser = command_line(__doc__, minutes=60.0)
    parser.add_argument("--export", type=Path, required=True, help="model folder to write")
    parser.add_argument("--start", type=Path, help="model folder to begin with")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--device", default="cpu")
    parser.set_defaults(curve=Path("training/curves/detector.jsonl"))
    given = parser.parse_args(arguments)
    set_up_process(seed=given.seed, threads=given.threads)
    recipe = Recipe(
        minutes=given.minutes,
        seed=given.seed,
        batch=given.batch,
        learning_rate=given.learning_rate,
        device=given.device,
        start=given.start,
    )
    trainer = DetectorTrainer(recipe, open_cache(given.cache), given.out, given.export)
    train_as_asked(trainer, given, "detector")


if __name__ == "__main__":
    main()
