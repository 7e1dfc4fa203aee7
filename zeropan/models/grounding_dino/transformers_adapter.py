"""Grounding DINO and MM-Grounding-DINO in transformers' implementation, behind `BoxDetector`.

Liu et al., 2023, and Zhao et al., "An Open and Comprehensive Pipeline for Unified Object Grounding
and Detection", 2024.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from zeropan.choices import Precision
from zeropan.models.folders import folder_identity
from zeropan.models.grounding_dino.build import CaptionTokenizer
from zeropan.models.grounding_dino.captions import CaptionPass, plan_captions
from zeropan.models.grounding_dino.grounding import EncoderOnce, assemble, padded_batch
from zeropan.models.protocols import ModelIdentity
from zeropan.models.transformers_loading import load_pretrained
from zeropan.segmentation.records import GroundedBoxes, UInt8

_SHORT_SIDE, _LONG_SIDE = 800, 1333
"""Pixels, as the published preprocessor_config.json says for every size."""


class HubGroundingDinoDetector:
    """Finds boxes for words; fulfils `zeropan.models.protocols.BoxDetector`."""

    def __init__(
        self,
        model: Any,
        tokenizer: CaptionTokenizer,
        identity: ModelIdentity,
        *,
        short_side: int = _SHORT_SIDE,
        long_side: int = _LONG_SIDE,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self.model = model.to(device)
        self.tokenizer = tokenizer
        self._identity = identity
        self.short_side, self.long_side = short_side, long_side
        self.device = device
        self.precision: Precision = precision
        self._encoder = EncoderOnce(self.model.model.backbone.conv_encoder, device)
        # Threads take turns: the tokenizer is shared, and the encoder remembers one image.
        self._turn = threading.Lock()

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", precision: Precision = "fp32") -> Self:
        """Load config.json, model.safetensors and vocab.txt from a folder.

        Raises:
            WeightsMissing: a file is absent.
            WeightsDamaged: the files do not fit each other.
        """
        from transformers import AutoModelForZeroShotObjectDetection

        model = load_pretrained(AutoModelForZeroShotObjectDetection, folder)
        # BERT's plain attention adds the boolean sub-sentence mask to the scores, as 0 and 1.
        model.model.text_backbone.set_attn_implementation("sdpa")
        return cls(
            model,
            CaptionTokenizer(folder / "vocab.txt"),
            folder_identity(folder),
            device=device,
            precision=precision,
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
        with self._turn:
            return self._ground(image, prompts)

    def _ground(self, image: UInt8, prompts: Sequence[str]) -> GroundedBoxes:
        passes = plan_captions(
            prompts, self.tokenizer.encode, max_tokens=self.model.config.max_text_len
        )
        pixels, inside = padded_batch(image, short_side=self.short_side, long_side=self.long_side)
        pixels, inside = pixels.to(self.device), inside.to(self.device)

        def answer(one: CaptionPass) -> tuple[Tensor, Tensor]:
            found = self.model(
                pixel_values=pixels,
                pixel_mask=inside.long(),
                **self.tokenizer([one.caption]).to(self.device),
            )
            return found.logits[0], found.pred_boxes[0]

        with self._encoder.one_image(self.precision):
            return assemble(passes, answer, prompts, (image.shape[0], image.shape[1]))
