"""CLIPSeg as a coarse text segmenter.

Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts", CVPR 2022, in the
implementation of transformers. Its own forward pass repeats the image for every prompt; here the
vision tower runs once an image, and only the small decoder runs once a prompt. Prompts are answered
one at a time, so that an answer never depends on what else is asked.

Frames: the published model was made for pictures that are stretched to its S x S pixels; (h, w) is
then (S, S). A model whose preprocessor_config.json says "do_pad" keeps a picture's shape: the long
side becomes S, the short one its share of it, and padding below and on the right fills the square.
The model answers with one logit for each of its S x S input pixels, so the first h rows and w
columns are exactly the picture: they are the grid that `score` returns, stretched over the picture.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer

from zeropan.choices import Precision
from zeropan.errors import RecordError, WeightsDamaged, WeightsMissing
from zeropan.models.folders import WEIGHTS, folder_identity, load_weights, read_config
from zeropan.models.precision import encoder_precision
from zeropan.models.protocols import ModelIdentity
from zeropan.segmentation.records import StuffLogits, UInt8

_PREPROCESSOR = "preprocessor_config.json"
EMBEDDINGS_KEPT = 4096
"""Text embeddings that an adapter keeps, the ones last used; 8 MiB at 512 numbers each."""


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the model's input."""

    size: int
    """S: side of the padded square, in pixels."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of red, green and blue in [0, 1]; padding has this colour. By default ImageNet's."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    pad: bool = False
    """Keep a picture's shape and fill up the square, rather than stretch the picture to it."""

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of a resized picture, each at least 1 and at most S."""
        if not self.pad:
            return self.size, self.size
        long = max(height, width)
        # Integers round half up; floating point would depend on the order of the operations.
        h, w = ((2 * side * self.size + long) // (2 * long) for side in (height, width))
        return max(h, 1), max(w, 1)

    def __call__(self, image: UInt8) -> Tensor:
        """float32 (1, 3, S, S): the picture, uint8 (H, W, 3), resized, normalised and padded."""
        h, w = self.input_size(*image.shape[:2])
        planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        if planes.shape[-2:] != (h, w):
            planes = functional.interpolate(
                planes, size=(h, w), mode="bilinear", align_corners=False, antialias=True
            )
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        pixels = (planes.float() / 255.0 - mean) / std
        return functional.pad(pixels, (0, self.size - w, 0, self.size - h))


class ClipSegSegmenter:
    """Scores pixels for words with CLIPSeg; a `CoarseTextSegmenter`."""

    def __init__(
        self,
        model: CLIPSegForImageSegmentation,
        tokenizer: CLIPTokenizer,
        preprocessing: Preprocessing,
        identity: ModelIdentity,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        network: nn.Module = model
        network.to(device).eval().requires_grad_(False)
        self.model = model
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.device = device
        self.precision: Precision = precision
        self._identity = identity
        self._embeddings: OrderedDict[str, Tensor] = OrderedDict()
        self._turn = threading.Lock()

    @classmethod
    def load(
        cls, directory: Path, *, device: str = "cpu", precision: Precision = "fp32"
    ) -> ClipSegSegmenter:
        """Load a model from a folder's files alone; the network is never asked.

        Args:
            directory: holds config.json, model.safetensors and a CLIP tokenizer (tokenizer.json,
                or vocab.json and merges.txt), and may hold preprocessor_config.json.
            device: where to run, as torch names it.
            precision: of both towers and the decoder.

        Raises:
            WeightsMissing: a file is absent.
            WeightsDamaged: a file is unreadable, or the files do not fit each other.
        """
        config = _model_config(directory)
        preprocessing = _preprocessing(directory, config)
        model = CLIPSegForImageSegmentation(config)
        _accept_stored_positions(model, directory / WEIGHTS)
        load_weights(model, directory)
        tokenizer = _tokenizer(directory, config)
        return cls(
            model,
            tokenizer,
            preprocessing,
            folder_identity(directory),
            device=device,
            precision=precision,
        )

    @property
    def identity(self) -> ModelIdentity:
        """The architecture, and the digest of every file in the model's folder."""
        return self._identity

    def score(self, image: UInt8, prompts: Sequence[str]) -> StuffLogits:
        """Score a coarse grid for every prompt.

        Args:
            image: uint8 (H, W, 3), RGB, of any size.
            prompts: words or phrases; may be empty (the result then has no plane). What is longer
                than the text tower's limit is cut.

        Returns:
            Logits float32 (C, h, w): the picture as the model saw it.

        Raises:
            RecordError: the image is not uint8 (H, W, 3), or empty.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise RecordError(
                f"image: expected (H, W, 3) uint8 with H and W of at least 1, "
                f"got {image.shape} {image.dtype.name}"
            )
        height, width = image.shape[:2]
        h, w = self.preprocessing.input_size(height, width)
        logits = torch.empty((len(prompts), h, w), dtype=torch.float32)
        # Threads take turns: the tokenizer and the embeddings are shared.
        with self._turn:
            for number, plane in enumerate(self._decode(image, prompts) if prompts else ()):
                logits[number] = plane[:h, :w].float().cpu()
        return StuffLogits(
            logits=logits.numpy(), prompts=tuple(prompts), image_size=(height, width)
        )

    def _decode(self, image: UInt8, prompts: Sequence[str]) -> Iterator[Tensor]:
        """Yield (S, S) logits of one prompt after the other.

        One at a time, in both towers: in a batch the last bits of a word's plane, and of its
        embedding, would depend on its companions.
        """
        with torch.inference_mode(), encoder_precision(self.device, self.precision):
            vision = self.model.clip.vision_model(
                pixel_values=self.preprocessing(image).to(self.device), output_hidden_states=True
            )
            # The first hidden state is the embedding, before any layer.
            activations = [vision.hidden_states[i + 1] for i in self.model.extract_layers]
            for prompt in prompts:
                logits = self.model.decoder(activations, self._embedding(prompt)).logits
                yield logits.reshape(logits.shape[-2:])

    def _embedding(self, prompt: str) -> Tensor:
        """The text tower's answer to a prompt, (1, D); computed once, as long as it is in use."""
        known = self._embeddings.get(prompt)
        if known is None:
            known = self.model.clip.get_text_features(**self._tokens(prompt)).pooler_output
            self._embeddings[prompt] = known
        self._embeddings.move_to_end(prompt)
        while len(self._embeddings) > EMBEDDINGS_KEPT:
            self._embeddings.popitem(last=False)
        return known

    def _tokens(self, prompt: str) -> dict[str, Tensor]:
        text: Any = self.model.config.text_config
        tokens = self.tokenizer(
            [prompt],
            truncation=True,
            max_length=text.max_position_embeddings,
            return_tensors="pt",
        )
        return {name: tokens[name].to(self.device) for name in ("input_ids", "attention_mask")}


def _model_config(directory: Path) -> CLIPSegConfig:
    fields = read_config(directory)
    kind = fields.get("model_type")
    if kind != "clipseg":
        raise WeightsDamaged(
            f"{directory / 'config.json'} is of a {kind!r} model; put CLIPSeg's files there"
        )
    try:
        return CLIPSegConfig(**fields)
    except Exception as error:  # The library's validation has its own tree of exceptions.
        raise WeightsDamaged(
            f"{directory / 'config.json'} is no configuration of CLIPSeg ({error}); "
            "get the file again"
        ) from error


def _preprocessing(directory: Path, config: CLIPSegConfig) -> Preprocessing:
    """As preprocessor_config.json says; the published model sees more pixels than its config."""
    path = directory / _PREPROCESSOR
    fields: Any = {}
    if path.is_file():
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise WeightsDamaged(f"{path} is not JSON ({error}); get the file again") from error
    vision: Any = config.vision_config
    try:
        size = fields.get("size", vision.image_size)
        sides = set(size.values()) if isinstance(size, dict) else {size}
        (side,) = (int(value) for value in sides)
        found = Preprocessing(
            size=side,
            mean=_triple(fields.get("image_mean", Preprocessing.mean)),
            std=_triple(fields.get("image_std", Preprocessing.std)),
            pad=fields.get("do_pad") is True,
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise WeightsDamaged(
            f"{path} does not give one size, image_mean and image_std ({error}); get the file again"
        ) from error
    if found.size < vision.patch_size or found.size % vision.patch_size:
        raise WeightsDamaged(
            f"{path}: size {found.size} is not a multiple of the model's patches of "
            f"{vision.patch_size} pixels; get the file again"
        )
    return found


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _accept_stored_positions(model: CLIPSegForImageSegmentation, path: Path) -> None:
    """Let the weights hold `position_ids`, as files written by older versions do.

    They are constants that the library no longer stores; strict loading would call them unknown.
    """
    try:
        with safe_open(path, framework="pt") as weights:
            stored = {key for key in weights.keys() if key.endswith(".position_ids")}  # noqa: SIM118
    except (SafetensorError, OSError):
        return  # Loading the weights comes next and says what is wrong.
    for name, module in model.named_modules():
        if f"{name}.position_ids" in stored and "position_ids" in dict(module.named_buffers()):
            module.register_buffer("position_ids", module.position_ids, persistent=True)


def _tokenizer(directory: Path, config: CLIPSegConfig) -> CLIPTokenizer:
    whole = (directory / "tokenizer.json").is_file()
    # Without them the library makes an empty vocabulary instead of failing.
    if not whole and not all((directory / n).is_file() for n in ("vocab.json", "merges.txt")):
        raise WeightsMissing(
            f"{directory} has neither tokenizer.json nor vocab.json with merges.txt; "
            "put the model's tokenizer there"
        )
    try:
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # The tokenizer's parser raises bare exceptions.
        raise WeightsDamaged(
            f"the tokenizer in {directory} cannot be read ({error}); get its files again"
        ) from error
    text: Any = config.text_config
    if len(tokenizer) > text.vocab_size:
        raise WeightsDamaged(
            f"the tokenizer in {directory} has {len(tokenizer)} tokens, the model "
            f"{text.vocab_size}; get the files of one model"
        )
    return tokenizer
