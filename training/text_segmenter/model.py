"""The tiny text segmenter: its configuration, its tokenizer, its start and its training pass.

The architecture is transformers' CLIPSeg (Lüddecke and Ecker, "Image Segmentation Using Text and
Image Prompts", CVPR 2022), scaled down to 1.8 million parameters. Its own `forward` runs both
towers without gradients, so `TrainingSegmenter` goes through the submodules, and adds heads that
are thrown away after training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer

from zeropan.scenes.vocabulary import COLOURS, STUFF, THINGS

IMAGE_SIZE: Final = 256
PATCH_SIZE: Final = 16
MAX_TOKENS: Final = 40
CLASSES: Final = 1 + len(THINGS) + len(STUFF)
"""Category numbers 1..17, and 0 for a word of no category."""
DENSE_CELLS: Final = 4
"""Cells a side into which the dense auxiliary head divides a patch."""

_START, _END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer() -> CLIPTokenizer:
    """A byte-level BPE tokenizer in which the scenes' words are few tokens and any text has some.

    Every byte is a token, inside a word and at its end. The merges spell each known word from
    left to right.
    """
    words = sorted({part for name in (*THINGS, *STUFF, *COLOURS) for part in name.split()})
    alphabet = _byte_alphabet()
    vocabulary = {token: index for index, token in enumerate(alphabet)}
    for token in alphabet:
        vocabulary[f"{token}</w>"] = len(vocabulary)
    merges: list[tuple[str, str]] = []
    for word in words:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        left = pieces[0]
        for right in pieces[1:]:
            if (left, right) not in merges:
                merges.append((left, right))
                vocabulary.setdefault(left + right, len(vocabulary))
            left += right
    for special in (_START, _END):
        vocabulary[special] = len(vocabulary)
    pairs: Any = merges  # Declared as strings, but handed on to a tokenizer that wants pairs.
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=MAX_TOKENS)


def _byte_alphabet() -> list[str]:
    """The 256 printable characters by which byte-level BPE writes bytes (Radford et al., 2019)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    shift = 0
    alphabet = []
    for byte in range(256):
        if byte in printable:
            alphabet.append(chr(byte))
        else:
            alphabet.append(chr(256 + shift))
            shift += 1
    return alphabet


def build_config(tokenizer: CLIPTokenizer) -> CLIPSegConfig:
    """The tiny architecture for this tokenizer's vocabulary."""
    return CLIPSegConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": MAX_TOKENS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": 160,
            "intermediate_size": 480,
            "num_hidden_layers": 5,
            "num_attention_heads": 5,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
        },
        projection_dim=64,
        reduce_dim=64,
        decoder_num_attention_heads=1,
        decoder_intermediate_size=256,
        extract_layers=[0, 2, 4],
        use_complex_transposed_convolution=True,
    )


def build_model(config: CLIPSegConfig) -> CLIPSegForImageSegmentation:
    """The model with a start from which it can be trained.

    The library's start of the decoder gives logits of a standard deviation in the hundreds, so it
    is drawn anew; positions start as sines and cosines, which a small model learns slowly.
    """
    model = CLIPSegForImageSegmentation(config)
    decoder = model.decoder
    for name, parameter in decoder.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    for module in decoder.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # Kernel and stride of the transposed ones are equal: one input reaches each output.
            inputs = (
                module.in_channels
                if isinstance(module, nn.ConvTranspose2d)
                else module.in_channels * math.prod(module.kernel_size)
            )
            nn.init.normal_(module.weight, std=math.sqrt(2.0 / inputs))
    nn.init.ones_(decoder.film_mul.bias)
    last: Any = decoder.transposed_convolution[-1]
    positions = model.clip.vision_model.embeddings.position_embedding.weight
    with torch.no_grad():
        last.weight.mul_(0.3)
        last.bias.fill_(-1.0)
        positions[1:] = 0.3 * _sine_positions(IMAGE_SIZE // PATCH_SIZE, positions.shape[1])
    return model


def _sine_positions(side: int, width: int) -> Tensor:
    """float32 (side * side, width): half of the channels for the row, half for the column."""
    quarter = width // 4
    rates = torch.exp(-math.log(100.0) * torch.arange(quarter) / quarter)
    angles = torch.arange(side, dtype=torch.float32)[:, None] * rates[None]
    line = torch.cat((angles.sin(), angles.cos()), dim=1)
    rows = line[:, None].expand(side, side, -1)
    columns = line[None, :].expand(side, side, -1)
    return torch.cat((rows, columns), dim=2).reshape(side * side, width)


@dataclass(frozen=True)
class TrainingOutputs:
    """What one pass over B images gives, of which the first A are asked for P prompts each."""

    logits: Tensor
    """(A, P, S, S): one plane a prompt."""
    dense: Tensor
    """(B, CLASSES - 1, S / 4, S / 4): the category of each small cell, from the image alone."""
    words: Tensor
    """(A * P, CLASSES): the category of each prompt, from the text alone."""


class TrainingSegmenter(nn.Module):
    """CLIPSeg with gradients through both towers and two auxiliary heads."""

    def __init__(self, model: CLIPSegForImageSegmentation) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        width = config.vision_config.hidden_size
        self.dense_head = nn.Linear(width, (CLASSES - 1) * DENSE_CELLS**2)
        self.dense_norm = nn.LayerNorm(width)
        self.word_head = nn.Linear(config.projection_dim, CLASSES)

    def forward(self, pixels: Tensor, tokens: dict[str, Tensor], rows: Tensor) -> TrainingOutputs:
        """One pass.

        Args:
            pixels: float32 (B, 3, S, S), normalised.
            tokens: what the tokenizer gave for U distinct prompts.
            rows: int64 (A, P): which of the U prompts each of the first A images is asked for.
        """
        asked, prompts = rows.shape
        clip = self.model.clip
        vision = clip.vision_model(pixel_values=pixels, output_hidden_states=True)
        text = clip.get_text_features(**tokens).pooler_output
        flat = rows.reshape(-1)
        activations = [
            vision.hidden_states[layer + 1][:asked].repeat_interleave(prompts, dim=0)
            for layer in self.model.extract_layers
        ]
        decoded = self.model.decoder(activations, text[flat])
        logits = decoded.logits.float().reshape(asked, prompts, *pixels.shape[-2:])
        return TrainingOutputs(
            logits=logits,
            dense=self._dense(vision.last_hidden_state[:, 1:]),
            words=self.word_head(text).float()[flat],
        )

    def _dense(self, patches: Tensor) -> Tensor:
        scores = self.dense_head(self.dense_norm(patches)).float()
        batch, count, _ = scores.shape
        side = math.isqrt(count)
        scores = scores.transpose(1, 2).reshape(batch, -1, side, side)
        return nn.functional.pixel_shuffle(scores, DENSE_CELLS)


def encode(tokenizer: CLIPTokenizer, prompts: Sequence[str]) -> dict[str, Tensor]:
    """Token ids and attention mask of prompts, int64 (U, L), cut to the model's length."""
    encoded: Any = tokenizer(
        list(prompts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    )
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
