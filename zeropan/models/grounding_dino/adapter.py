"""The box detector: Grounding DINO (Liu et al., 2023) through the package groundingdino-py."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from zeropan.choices import Precision
from zeropan.models.folders import folder_identity, load_weights, read_config
from zeropan.models.grounding_dino.build import (
    CaptionTokenizer,
    build_grounding_dino,
    package,
    quiet_package,
)
from zeropan.models.grounding_dino.captions import CaptionPass, plan_captions
from zeropan.models.grounding_dino.grounding import EncoderOnce, assemble, padded_batch
from zeropan.models.protocols import ModelIdentity
from zeropan.segmentation.records import GroundedBoxes, UInt8


class GroundingDinoDetector:
    """Finds boxes for words; fulfils `zeropan.models.protocols.BoxDetector`."""

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
        precision: Precision = "fp32",
    ) -> None:
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self._identity = identity
        self.short_side = short_side
        self.long_side = long_side
        self.max_text_tokens = max_text_tokens
        self.device = device
        self.precision: Precision = precision
        self._encoder = EncoderOnce(self.model.get_submodule("backbone.0"), device)
        # Threads take turns: the tokenizer is shared, and the encoder remembers one image.
        self._turn = threading.Lock()

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", precision: Precision = "fp32") -> Self:
        """Load config.json, model.safetensors and vocab.txt from a folder.

        Args:
            folder: of the component.
            device: as torch names it.
            precision: of the image backbone; the rest, a small part of the work, is fp32.

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
        passes = plan_captions(prompts, self.tokenizer.encode, max_tokens=self.max_text_tokens)
        pixels, inside = padded_batch(image, short_side=self.short_side, long_side=self.long_side)
        samples = package("util.misc").NestedTensor(pixels, ~inside).to(self.device)

        def answer(one: CaptionPass) -> tuple[Tensor, Tensor]:
            with quiet_package():
                found = self.model(samples, captions=[one.caption])
            return found["pred_logits"][0], found["pred_boxes"][0]

        with self._encoder.one_image(self.precision):
            return assemble(passes, answer, prompts, (image.shape[0], image.shape[1]))
