"""Train the tiny text segmenter on rendered scenes.

    python -m training.text_segmenter.train --cache DIR --out DIR --minutes 30

A stopped run goes on from its last checkpoint when the same command is given again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.clipseg.modeling_clipseg import CLIPSegAttention

from training.common import muon_and_adamw, set_up_process
from training.loop import Pace, Run, command_line, train_as_asked
from training.text_segmenter.data import SceneSource, build_batch
from training.text_segmenter.export import export
from training.text_segmenter.losses import losses, stuff_ious
from training.text_segmenter.model import (
    TrainingOutputs,
    TrainingSegmenter,
    build_config,
    build_model,
    build_tokenizer,
    encode,
)
from zeropan.scenes.render import render_scene
from zeropan.scenes.vocabulary import STUFF

# Held out from training, and apart from the scenes on which the result is reported.
VALIDATION_SEEDS = range(100, 132)


@dataclass(frozen=True)
class Recipe:
    """Settings of a run."""

    minutes: float
    seed: int = 0
    batch: int = 16
    decoded_early: int = 5
    """Images of a batch that get masks in the first part of the run; the rest train the image
    tower through the dense head alone, which costs half as much."""
    decoded_late: int = 10
    early_share: float = 0.35
    optimizer: str = "muon"
    learning_rate: float = 1.5e-3


def optimizers_of(model: nn.Module, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """Muon, where it is wanted, for the matrices inside the network and AdamW for the rest."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        outer = "embedding" in name or "head" in name or parameter.ndim != 2
        (others if outer or recipe.optimizer != "muon" else matrices).append(parameter)
    return muon_and_adamw(
        matrices,
        others,
        muon_rate=recipe.learning_rate,
        adamw_rate=recipe.learning_rate,
        weight_decay=0.02,
    )


class TextSegmenterTrainer:
    """The text segmenter on rendered scenes, for `training.loop`."""

    def __init__(self, recipe: Recipe, source: SceneSource, exported: Path) -> None:
        """Build the model with fresh weights.

        Args:
            recipe: settings of the run.
            source: the scenes, at least one.
            exported: the model folder to write.
        """
        self.recipe = recipe
        self.pace = Pace(save_every_s=60.0)
        self.source = source
        self.exported = exported
        self.tokenizer = build_tokenizer()
        self.model = TrainingSegmenter(build_model(build_config(self.tokenizer)))
        # One thread computes plain attention faster than the fused kernel's backward pass.
        for module in self.model.modules():
            if isinstance(module, CLIPSegAttention):
                module.config._attn_implementation = "eager"
        self.run = Run(
            self.model,
            optimizers_of(self.model, recipe),
            examples=len(source),
            minutes=recipe.minutes,
            seed=recipe.seed,
        )

    def losses(self, progress: float) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: D102
        images, labels, segments = self.source.take(self.run.order.take(self.recipe.batch))
        batch = build_batch(images, labels, segments, rng=self.run.rng)
        early = progress < self.recipe.early_share
        decoded = slice(0, self.recipe.decoded_early if early else self.recipe.decoded_late)
        with torch.autocast("cpu", torch.bfloat16):
            outputs: TrainingOutputs = self.model(
                batch.pixels, encode(self.tokenizer, batch.prompts), batch.rows[decoded]
            )
        parts = losses(outputs, batch, decoded)
        return torch.stack(list(parts.values())).sum(), parts

    def examples(self) -> int:  # noqa: D102
        return self.source.refresh()

    def measure(self) -> dict[str, float]:
        """Mean IoUs of the averaged weights on the validation scenes."""
        ious = validate(self.averaged(), encode(self.tokenizer, STUFF))
        return {"scenes": len(self.source), **ious}

    def export(self) -> None:  # noqa: D102
        export(self.averaged().model, self.tokenizer, self.exported)

    def averaged(self) -> TrainingSegmenter:
        """A model with the averaged weights."""
        model = TrainingSegmenter(build_model(build_config(self.tokenizer)))
        self.run.ema.copy_to(model)
        return model.eval()


@torch.no_grad()
def validate(model: TrainingSegmenter, tokens: dict[str, Tensor]) -> dict[str, float]:
    """Mean IoUs on the validation scenes.

    Args:
        model: in evaluation mode.
        tokens: of the words for stuff, in STUFF's order, as `encode` gives them.
    """
    rng = np.random.default_rng(0)
    joint, single = [], []
    for seed in VALIDATION_SEEDS:
        scene = render_scene(seed)
        rows = [
            {"id": s.id, "name": s.name, "phrase": s.phrase, "isthing": s.isthing}
            for s in scene.segments
        ]
        labels = scene.label_map.astype(np.uint8)
        batch = build_batch(scene.image[None], labels[None], [rows], rng=rng, augment=False)
        outputs = model(batch.pixels, tokens, torch.arange(len(STUFF))[None])
        found = stuff_ious(outputs.logits[0], batch.categories[0], threshold=0.3)
        joint += found[0]
        single += found[1]
    return {"iou_joint": float(np.mean(joint)), "iou_single": float(np.mean(single))}


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = command_line("Train the tiny text segmenter.", minutes=30.0)
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    given = parser.parse_args(arguments)
    set_up_process(seed=given.seed, threads=given.threads)
    recipe = Recipe(
        minutes=given.minutes,
        seed=given.seed,
        optimizer=given.optimizer,
        learning_rate=given.learning_rate,
    )
    trainer = TextSegmenterTrainer(recipe, SceneSource(given.cache), given.out / "export")
    train_as_asked(trainer, given, "text segmenter")


if __name__ == "__main__":
    main()
