"""The tiny promptable segmenter: its sizes, its first weights, and its head for training."""

from __future__ import annotations

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional as F

from training.segmenter.data import CLASSES
from training.segmenter.decoder import decode_masks
from zeropan.models.sam.network import SamArchitecture, build_sam

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
