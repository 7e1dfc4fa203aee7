"""Trains the tiny promptable segmenter from scratch on rendered scenes.

    python -m training.segmenter.train --cache CACHE --out OUT --minutes 70 --seed 0

The run is resumed when OUT holds a checkpoint. The learning rate follows the share of the time
budget that is used, so that a slower machine ends a shorter run just as well annealed. Matrices
inside the transformers are trained with Muon (Jordan et al., 2024), everything else with AdamW.

A dense head on the image embedding (category, way to the instance's centre, border) is trained
beside the masks from the first step and thrown away at the end: it teaches the encoder about
objects while the decoder still answers every prompt alike.

The bundled weights took 2267 steps in 72 minutes on one shared CPU core, resumed once: the first
544 steps drew 6 boxes and 4 point sets an image and weighed the quality loss by 0.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.common import muon_and_adamw, set_up_process
from training.loop import Pace, Run, command_line, train_as_asked
from training.scene_cache import SceneCache, open_cache
from training.segmenter.data import CLASSES, Batch, draw_batch
from training.segmenter.losses import auxiliary_loss, hard_iou, mask_losses, prompt_weights
from training.segmenter.model import TINY, SegmenterInTraining
from zeropan.models.sam.network import SamArchitecture


@dataclass(frozen=True)
class Recipe:
    """The numbers of a run."""

    minutes: float
    seed: int = 0
    batch: int = 4
    boxes: int = 4
    point_sets: int = 5
    muon_rate: float = 2e-3
    adam_rate: float = 1e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.997


def losses(model: SegmenterInTraining, batch: Batch, *, progress: float) -> dict[str, Tensor]:
    """All losses of one batch ("loss" is their sum), and what one wants to watch."""
    with torch.autocast("cpu", torch.bfloat16):
        features = model.embed(batch.images)
        dense = F.pixel_shuffle(model.dense_head(features), 2)
        box_logits, box_quality = model.decode(features, batch.boxes)
        point_logits, point_quality = model.decode(features, (batch.points, batch.point_labels))
    logits = torch.cat([box_logits, point_logits], dim=1).float()
    quality = torch.cat([box_quality, point_quality], dim=1).float()
    targets = batch.targets[:, :, None]
    side, grid = batch.images.shape[-1], targets.shape[-1]
    weights = prompt_weights(batch.boxes, batch.points.shape[1], side, grid)[:, :, None]
    balance = max(0.0, 1.0 - progress / 0.5)
    each = mask_losses(logits, targets, weights, balance=balance)
    single, several = each[..., 0].mean(), each[..., 1:].amin(dim=-1).mean()
    with torch.no_grad():
        iou = hard_iou(logits, targets)
    quality_loss = F.mse_loss(quality, iou)
    auxiliary, accuracy = auxiliary_loss(dense.float(), batch, len(CLASSES))
    auxiliary_weight = 1.0 - 0.7 * min(progress, 1.0)
    boxes = batch.boxes.shape[1]
    return {
        "loss": single + 0.25 * several + 0.4 * quality_loss + auxiliary_weight * auxiliary,
        "single": single.detach(),
        "several": several.detach(),
        "auxiliary": auxiliary.detach(),
        "class_accuracy": accuracy,
        "quality_error": quality_loss.detach().sqrt(),
        "box_iou": iou[:, :boxes, 0].mean(),
        "point_iou": iou[:, boxes:, 0].mean(),
    }


def optimizers_of(model: nn.Module, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the transformers and their heads, AdamW for the rest."""
    inner = ("sam.image_encoder.blocks.", "sam.mask_decoder.")
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if name.startswith("sam.prompt_encoder.mask_downscaling"):
            parameter.requires_grad_(False)  # no mask prompts here
            continue
        is_matrix = (
            parameter.ndim == 2 and name.startswith(inner) and "token" not in name.split(".")[2]
        )
        (matrices if is_matrix else rest).append(parameter)
    return muon_and_adamw(
        matrices,
        rest,
        muon_rate=recipe.muon_rate,
        adamw_rate=recipe.adam_rate,
        weight_decay=recipe.weight_decay,
    )


class SegmenterTrainer:
    """The promptable segmenter on rendered scenes, for `training.loop`.

    `training.segmenter.export` writes a checkpoint's weights as a model folder.
    """

    def __init__(
        self, recipe: Recipe, cache: SceneCache, architecture: SamArchitecture = TINY
    ) -> None:
        """Build the model with fresh weights; its image size is that of the cache."""
        self.recipe = recipe
        self.pace = Pace(warmup=0.02, clip=2.0, report_every=25)
        self.cache = cache
        self.model = SegmenterInTraining(architecture)
        self.run = Run(
            self.model,
            optimizers_of(self.model, recipe),
            examples=len(cache),
            minutes=recipe.minutes,
            seed=recipe.seed,
            ema_decay=recipe.ema_decay,
        )

    def losses(self, progress: float) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: D102
        batch = draw_batch(
            self.cache,
            self.run.order.take(self.recipe.batch),
            self.run.rng,
            boxes=self.recipe.boxes,
            point_sets=self.recipe.point_sets,
        )
        found = losses(self.model, batch, progress=progress)
        return found["loss"], found

    def examples(self) -> int:  # noqa: D102
        return len(self.cache)

    def measure(self) -> dict[str, float]:  # noqa: D102
        return {}

    def export(self) -> None:  # noqa: D102
        pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = command_line("Train the tiny promptable segmenter.", minutes=70.0)
    given = parser.parse_args(arguments)
    set_up_process(seed=given.seed, threads=given.threads)
    recipe = Recipe(minutes=given.minutes, seed=given.seed)
    train_as_asked(SegmenterTrainer(recipe, open_cache(given.cache)), given, "segmenter")


if __name__ == "__main__":
    main()
