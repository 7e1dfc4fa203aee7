"""The box detector: Grounding DINO (Liu et al., 2023) through the package groundingdino-py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.captions import plan_captions
from models.grounding_dino_build import (
    CaptionTokenizer,
    build_grounding_dino,
    package,
    quiet_package,
)
from models.protocols import ModelIdentity
from models.weights import folder_identity, load_weights, read_config
from segmentation.records import Float32, GroundedBoxes, UInt8

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_LEAST_SIDE = 32
"""The backbone halves an image five times; smaller inputs are padded to this, in pixels."""


class GroundingDinoDetector:
    """Finds boxes for words; fulfils `models.protocols.BoxDetector`."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: CaptionTokenizer,
        identity: ModelIdentity,
        *,
        short_side: int,
        long_side: int,
        max_text_tokens: int,
        device: str = "cpu",
    ) -> None:
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self._identity = identity
        self.short_side = short_side
        self.long_side = long_side
        self.max_text_tokens = max_text_tokens
        self.device = device

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> Self:
        """Load config.json, model.safetensors and vocab.txt from a folder.

        Raises:
            WeightsMissing: a file is absent.
            WeightsDamaged: the files do not fit each other.
        """
        config = read_config(folder)
        tokenizer = CaptionTokenizer(folder / "vocab.txt")
        model = build_grounding_dino(config, tokenizer)
        load_weights(model, folder)
        return cls(
            model,
            tokenizer,
            folder_identity(folder),
            short_side=config["short_side"],
            long_side=config["long_side"],
            max_text_tokens=config["max_text_tokens"],
            device=device,
        )

    @property
    def identity(self) -> ModelIdentity:
        """What tells this model's results from another's."""
        return self._identity

    @torch.inference_mode()
    def ground(self, image: UInt8, prompts: Sequence[str]) -> GroundedBoxes:
        """Score every query box against every token of every prompt.

        Args:
            image: uint8 (H, W, 3), RGB.
            prompts: words or phrases; may be empty.

        Raises:
            BadCategories: a prompt is too long for the text encoder.
        """
        passes = plan_captions(prompts, self.tokenizer.encode, max_tokens=self.max_text_tokens)
        size = image.shape[0], image.shape[1]
        length = max((len(one.token_prompt) for one in passes), default=0)
        boxes: list[Float32] = []
        scores: list[Float32] = []
        owners = np.full((len(passes), length), -1, np.int32)
        samples = self._samples(image) if passes else None
        for number, one in enumerate(passes):
            with quiet_package():
                answer = self.model(samples, captions=[one.caption])
            tokens = len(one.token_prompt)
            owners[number, :tokens] = one.token_prompt
            padded = torch.zeros(answer["pred_logits"].shape[1], length)
            padded[:, :tokens] = answer["pred_logits"][0, :, :tokens].float().sigmoid().cpu()
            scores.append(padded.numpy())
            boxes.append(to_pixels(answer["pred_boxes"][0].float().cpu(), size).numpy())
        return GroundedBoxes(
            boxes_xyxy=np.stack(boxes) if boxes else np.zeros((0, 0, 4), np.float32),
            token_scores=np.stack(scores) if scores else np.zeros((0, 0, length), np.float32),
            token_prompt=owners,
            prompts=tuple(prompts),
            image_size=size,
        )

    def _samples(self, image: UInt8) -> Any:
        """The image as the package's padded batch of one."""
        pixels = preprocess(image, short_side=self.short_side, long_side=self.long_side)
        height, width = pixels.shape[1:]
        canvas = torch.zeros(3, max(height, _LEAST_SIDE), max(width, _LEAST_SIDE))
        canvas[:, :height, :width] = pixels
        padding = torch.ones(canvas.shape[1:], dtype=torch.bool)
        padding[:height, :width] = False
        nested = package("util.misc").NestedTensor(canvas[None], padding[None])
        return nested.to(self.device)


def preprocess(image: UInt8, *, short_side: int, long_side: int) -> Tensor:
    """Resize to a short side, but at most a long side, and normalise with ImageNet's moments.

    Args:
        image: uint8 (H, W, 3), RGB.
        short_side: pixels.
        long_side: pixels.

    Returns:
        float32 (3, h, w).
    """
    height, width = image.shape[:2]
    scale = min(short_side / min(height, width), long_side / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    resized = functional.interpolate(
        pixels, size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]
    return normalise(resized)


def normalise(pixels: Tensor) -> Tensor:
    """Subtract ImageNet's mean and divide by its deviation: float (..., 3, h, w) in [0, 1]."""
    mean = torch.tensor(_MEAN, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(_STD, device=pixels.device).view(3, 1, 1)
    return (pixels - mean) / std


def to_pixels(boxes_cxcywh: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes as shares of the image to corners in its pixels, clipped to it: float32 (..., 4)."""
    height, width = size
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    corners = torch.cat([centre - half, centre + half], dim=-1).clamp(0, 1)
    return corners * torch.tensor([width, height, width, height], dtype=torch.float32)
