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

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional as F

from training.common import (
    Clock,
    Curve,
    DataOrder,
    Ema,
    cosine_with_warmup,
    load_checkpoint,
    restore_rng_state,
    rng_state,
    save_checkpoint,
    scale_learning_rates,
    set_up_process,
)
from training.scene_cache import open_cache
from training.segmenter.data import CLASSES, Batch, draw_batch
from training.segmenter.decoder import decode_masks
from training.segmenter.losses import auxiliary_loss, hard_iou, mask_losses, prompt_weights
from zeropan.models.sam.network import SamArchitecture, build_sam

logger = logging.getLogger(__name__)

TINY = SamArchitecture(
    image_size=256,
    patch_size=8,
    encoder_dim=160,
    encoder_depth=5,
    encoder_heads=5,
    encoder_mlp_ratio=4.0,
    encoder_global_blocks=(2,),
    window_size=8,
    use_rel_pos=False,
    decoder_dim=128,
    decoder_depth=2,
    decoder_heads=4,
    decoder_mlp_dim=512,
    quality_head_dim=128,
)


@dataclass(frozen=True)
class Recipe:
    """The numbers of a run."""

    batch: int = 4
    boxes: int = 4
    point_sets: int = 5
    muon_rate: float = 2e-3
    adam_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup: float = 0.02
    ema_decay: float = 0.997
    log_every: int = 25
    save_every_s: float = 120.0


def sine_positions(grid: int, width: int) -> Tensor:
    """Sine and cosine position embedding of a square grid: (1, grid, grid, width)."""
    quarter = width // 4
    rates = 1.0 / (100.0 ** (torch.arange(quarter) / quarter))
    angles = torch.arange(grid)[:, None] * rates
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)
    down = axis[:, None].expand(grid, grid, -1)
    across = axis[None].expand(grid, grid, -1)
    return torch.cat([down, across], dim=-1)[None] * 0.3


def initialise(sam: Sam) -> None:
    """Better starts than the package's: positions, and prompt frequencies from coarse to fine."""
    encoder = sam.image_encoder
    if encoder.pos_embed is not None:
        grid, width = encoder.pos_embed.shape[1], encoder.pos_embed.shape[-1]
        encoder.pos_embed.data.copy_(sine_positions(grid, width))
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.05)
            nn.init.zeros_(module.bias)
            if name.endswith(("attn.proj", "mlp.lin2")):
                module.weight.data.mul_(0.5)
    matrix = sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    scales = torch.logspace(np.log10(0.12), np.log10(4.0), matrix.shape[1])
    directions = F.normalize(torch.randn_like(matrix), dim=0)
    matrix.copy_(directions * scales)


class SegmenterInTraining(nn.Module):
    """The network with its auxiliary head: 1 x 1 convolution, 4 outputs a token and channel."""

    def __init__(self, architecture: SamArchitecture) -> None:
        """Build with fresh weights."""
        super().__init__()
        self.sam = build_sam(architecture).train()
        initialise(self.sam)
        self.dense_head = nn.Conv2d(architecture.decoder_dim, 4 * (len(CLASSES) + 3), 1)

    def embed(self, images: Tensor) -> Tensor:
        """Image embeddings of (B, 3, S, S) pixels, NaN in the padding."""
        pixels = (images - self.sam.pixel_mean) / self.sam.pixel_std
        features: Tensor = self.sam.image_encoder(torch.nan_to_num(pixels))
        return features

    def decode(
        self, features: Tensor, prompts: tuple[Tensor, Tensor] | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, P, 4, h, w) and quality of boxes (B, P, 4) or of points with their labels."""
        encoder = self.sam.prompt_encoder
        with torch.autocast("cpu", enabled=False):
            # Positions lose what they say in bfloat16.
            if isinstance(prompts, Tensor):
                lead = prompts.shape[:2]
                sparse, _ = encoder(points=None, boxes=prompts.flatten(0, 1), masks=None)
            else:
                points, labels = prompts
                lead = points.shape[:2]
                sparse, _ = encoder(
                    points=(points.flatten(0, 1), labels.flatten(0, 1)), boxes=None, masks=None
                )
            image_pe = encoder.get_dense_pe()
        return decode_masks(
            self.sam.mask_decoder,
            features,
            image_pe,
            sparse.unflatten(0, lead),
            encoder.no_mask_embed.weight,
        )


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


def make_optimizers(
    model: SegmenterInTraining, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
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
    return (
        torch.optim.Muon(
            matrices,
            lr=recipe.muon_rate,
            weight_decay=recipe.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            rest, lr=recipe.adam_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
        ),
    )


def train(
    cache_dir: Path,
    out: Path,
    *,
    minutes: float,
    seed: int,
    recipe: Recipe,
    mlflow_uri: str | None = None,
) -> None:
    """Train until the time is spent; OUT/checkpoint.pt holds the whole state."""
    cache = open_cache(cache_dir)
    model = SegmenterInTraining(TINY)
    ema = Ema(model, decay=recipe.ema_decay)
    optimizers = make_optimizers(model, recipe)
    order = DataOrder(len(cache), seed=seed)
    rng = np.random.default_rng(seed)
    clock = Clock(minutes)
    step = 0
    path = out / "checkpoint.pt"
    if (state := load_checkpoint(path)) is not None:
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        order.load_state_dict(state["order"])
        clock.load_state_dict(state["clock"])
        restore_rng_state(state["rng"])
        rng.bit_generator.state = state["sample_rng"]
        step = int(state["step"])
        logger.info("resumed at step %d after %.0f s", step, clock.elapsed_s)
    order.grow(len(cache))

    def save() -> None:
        save_checkpoint(
            path,
            {
                "model": model.state_dict(),
                "ema": ema.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "order": order.state_dict(),
                "clock": clock.state_dict(),
                "rng": rng_state(),
                "sample_rng": rng.bit_generator.state,
                "step": step,
            },
        )

    curve = Curve(out / "curve.jsonl", mlflow_uri=mlflow_uri, name="segmenter")
    saved_at, sums, counted = clock.elapsed_s, dict[str, float](), 0
    parameters = [p for p in model.parameters() if p.requires_grad]
    while clock.progress < 1.0:
        factor = cosine_with_warmup(clock.progress, warmup=recipe.warmup)
        scale_learning_rates(optimizers, factor)
        batch = draw_batch(
            cache,
            order.take(recipe.batch),
            rng,
            boxes=recipe.boxes,
            point_sets=recipe.point_sets,
        )
        found = losses(model, batch, progress=clock.progress)
        found["loss"].backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = nn.utils.clip_grad_norm_(parameters, 2.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        ema.update(model)
        step += 1
        counted += 1
        for name, value in {**found, "gradient": norm}.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if step % recipe.log_every == 0:
            means = {name: total / counted for name, total in sums.items()}
            curve.add(step, minutes=clock.elapsed_s / 60, rate=factor, **means)
            sums, counted = {}, 0
        if clock.elapsed_s - saved_at > recipe.save_every_s:
            save()
            saved_at = clock.elapsed_s
    save()
    curve.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train the tiny promptable segmenter.")
    parser.add_argument("--cache", type=Path, required=True, help="folder of training.scene_cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=70.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mlflow-uri", default=None)
    given = parser.parse_args(arguments)
    set_up_process(seed=given.seed, threads=given.threads)
    train(
        given.cache,
        given.out,
        minutes=given.minutes,
        seed=given.seed,
        recipe=Recipe(),
        mlflow_uri=given.mlflow_uri,
    )


if __name__ == "__main__":
    main()
