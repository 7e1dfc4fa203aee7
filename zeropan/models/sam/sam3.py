"""SAM 3 as a box detector in transformers' implementation, behind `BoxDetector`.

Carion et al., "SAM 3: Segment Anything with Concepts", 2025. It answers one phrase at a time: each
prompt is a pass of its own with one token, whose score is that of the query times that of the
phrase being in the image at all. The image encoder runs once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torchvision.transforms.functional import resize, to_pil_image, to_tensor

from zeropan.choices import Precision
from zeropan.errors import WeightsDamaged
from zeropan.models.folders import folder_identity
from zeropan.models.precision import encoder_precision
from zeropan.models.protocols import ModelIdentity
from zeropan.models.transformers_loading import load_pretrained
from zeropan.segmentation.records import Float32, GroundedBoxes, UInt8

_TRACKER = ("tracker_model.", "tracker_neck.")
"""Beginnings of keys that only the tracking of videos uses; the published file holds them."""
_TOKENS = 32
"""Length of a phrase in tokens; longer ones are cut, as the model's own processor does."""


class Sam3Detector:
    """Finds boxes for words; fulfils `zeropan.models.protocols.BoxDetector`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        identity: ModelIdentity,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self.model = model.to(device)
        self.tokenizer = tokenizer
        self._identity = identity
        self.device = device
        self.precision: Precision = precision
        # Threads take turns: the tokenizer is shared.
        self._turn = threading.Lock()

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", precision: Precision = "fp32") -> Self:
        """Load config.json, model.safetensors and the tokenizer from a folder.

        Raises:
            WeightsMissing: a file is absent.
            WeightsDamaged: the files do not fit each other.
        """
        from transformers import CLIPTokenizer, Sam3Model

        model = load_pretrained(Sam3Model, folder, ignored=_TRACKER)
        try:
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # The tokenizer's parser raises bare exceptions.
            raise WeightsDamaged(
                f"the tokenizer in {folder} cannot be read ({error}); get its files again"
            ) from error
        return cls(model, tokenizer, folder_identity(folder), device=device, precision=precision)

    @property
    def identity(self) -> ModelIdentity:
        """What tells this model's results from another's."""
        return self._identity

    def ground(self, image: UInt8, prompts: Sequence[str]) -> GroundedBoxes:
        """Score every query box for every prompt.

        Args:
            image: uint8 (H, W, 3), RGB.
            prompts: words or phrases; may be empty.
        """
        with self._turn:
            return self._ground(image, prompts)

    @torch.inference_mode()
    def _ground(self, image: UInt8, prompts: Sequence[str]) -> GroundedBoxes:
        height, width = image.shape[:2]
        boxes: list[Float32] = []
        scores: list[Float32] = []
        if prompts:
            with encoder_precision(self.device, self.precision):
                vision = self.model.get_vision_features(pixel_values=self._pixels(image))
            vision.fpn_hidden_states = tuple(level.float() for level in vision.fpn_hidden_states)
        for prompt in prompts:
            words = self.tokenizer(
                prompt,
                padding="max_length",
                truncation=True,
                max_length=_TOKENS,
                return_tensors="pt",
            ).to(self.device)
            found = self.model(
                vision_embeds=vision,
                input_ids=words["input_ids"],
                attention_mask=words["attention_mask"],
            )
            here = found.pred_logits[0].sigmoid() * found.presence_logits[0].sigmoid()
            corners = found.pred_boxes[0].float().clamp(0, 1).cpu().numpy()
            boxes.append(corners * np.array([width, height, width, height], dtype=np.float32))
            scores.append(here.float().cpu().numpy()[:, None])
        return GroundedBoxes(
            boxes_xyxy=np.stack(boxes) if boxes else np.zeros((0, 0, 4), np.float32),
            token_scores=np.stack(scores) if scores else np.zeros((0, 0, 1), np.float32),
            token_prompt=np.arange(len(prompts), dtype=np.int32)[:, None],
            prompts=tuple(prompts),
            image_size=(height, width),
        )

    def _pixels(self, image: UInt8) -> torch.Tensor:
        """float32 (1, 3, S, S): stretched to the model's square, in [-1, 1]."""
        side = int(self.model.config.vision_config.image_size)
        square = resize(to_pil_image(np.ascontiguousarray(image)), [side, side])
        pixels: torch.Tensor = (to_tensor(square) - 0.5) / 0.5
        return pixels[None].to(self.device)
