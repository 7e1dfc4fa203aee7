"""Building Grounding DINO from a configuration, with the package's own classes.

The package builds its text encoder from a hub name and knows a fixed list of backbones. Here the
parts are put together from numbers, so that the published and the tiny sizes come from one place
and nothing is fetched.
"""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import nn

from zeropan.errors import WeightsMissing
from zeropan.models.grounding_dino.bert_wrapper import SubSentenceBert
from zeropan.models.grounding_dino.captions import SPECIAL_TOKENS, Encoding

_BUILDING = threading.Lock()
"""The package's module is changed while a model is built; one model at a time."""
_IMPORTING = threading.RLock()
"""What the package imports is changed while it is imported; one import at a time."""


class CaptionTokenizer:
    """BERT's WordPiece over a vocab.txt, in the two forms in which it is needed."""

    def __init__(self, vocabulary: Path) -> None:
        from tokenizers import BertWordPieceTokenizer

        if not vocabulary.is_file():
            raise WeightsMissing(f"{vocabulary} is not there; put the model's vocabulary there")
        lines = vocabulary.read_text(encoding="utf-8").splitlines()
        self._tokenizer = BertWordPieceTokenizer(
            {token: number for number, token in enumerate(lines)}, lowercase=True
        )

    def encode(self, caption: str) -> Encoding:
        """One caption's tokens with their character spans."""
        encoding: Encoding = self._tokenizer.encode(caption)
        return encoding

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
        """The ids of tokens; the package asks for those of the separators."""
        found = [self._tokenizer.token_to_id(token) for token in tokens]
        return [number for number in found if number is not None]

    def __call__(self, captions: list[str], **_: Any) -> Any:
        """A batch as the package expects it: padded to the longest, as tensors."""
        from transformers import BatchEncoding

        rows = [self._tokenizer.encode(caption).ids for caption in captions]
        length = max(len(row) for row in rows)
        ids = torch.zeros(len(rows), length, dtype=torch.long)
        mask = torch.zeros(len(rows), length, dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        return BatchEncoding(
            {"input_ids": ids, "token_type_ids": torch.zeros_like(ids), "attention_mask": mask}
        )


@contextmanager
def quiet_package() -> Iterator[None]:
    """Within the block, the package's notes about optional C++ code and old calls are not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_VISUALIZER = "groundingdino.util.visualizer"


@contextmanager
def _without_drawing() -> Iterator[None]:
    """Within the block, the package's module that draws is an empty one.

    The model's module imports a class of it and never uses it. Left out with it are OpenCV, which
    asks for the system's libGL (an empty container has none), matplotlib and pycocotools.
    """
    if _VISUALIZER in sys.modules:
        yield
        return
    stand_in = ModuleType(_VISUALIZER)
    stand_in.COCOVisualizer = None  # type: ignore[attr-defined]
    sys.modules[_VISUALIZER] = stand_in
    try:
        yield
    finally:
        # Whoever wants to draw with the package finds the real one.
        del sys.modules[_VISUALIZER]


def package(name: str) -> Any:
    """A module of groundingdino-py, such as "models.GroundingDINO.groundingdino"."""
    with _IMPORTING, quiet_package(), _without_drawing():
        return importlib.import_module(f"groundingdino.{name}")


def build_grounding_dino(config: dict[str, Any], tokenizer: CaptionTokenizer) -> nn.Module:
    """A Grounding DINO with random weights, in evaluation mode.

    Args:
        config: sections "bert" (BertConfig), "swin" (SwinTransformer) and "transformer"
            (Transformer), as in zeropan/models/weights/tiny/grounding_dino/config.json.
        tokenizer: its vocabulary has as many rows as the bert section says.
    """
    with _BUILDING, quiet_package():
        return _build(config, tokenizer).eval()


def _build(config: dict[str, Any], tokenizer: CaptionTokenizer) -> nn.Module:
    from transformers import BertConfig, BertModel

    dino = package("models.GroundingDINO.groundingdino")
    backbone_module = package("models.GroundingDINO.backbone.backbone")
    swin_module = package("models.GroundingDINO.backbone.swin_transformer")
    positions = package("models.GroundingDINO.backbone.position_encoding")
    transformer_module = package("models.GroundingDINO.transformer")

    settings = BertConfig(**config["bert"])
    # The mask of sub-sentences is one that only the plain implementation takes as it is.
    settings._attn_implementation = "eager"
    bert = BertModel(settings)
    swin = swin_module.SwinTransformer(**config["swin"])
    sizes = config["transformer"]
    width = sizes["d_model"]
    joiner = backbone_module.Joiner(
        swin,
        positions.PositionEmbeddingSineHW(
            width // 2, temperatureH=20, temperatureW=20, normalize=True
        ),
    )
    joiner.num_channels = [swin.num_features[index] for index in config["swin"]["out_indices"]]
    transformer = transformer_module.Transformer(
        **sizes,
        normalize_before=False,
        return_intermediate_dec=True,
        query_dim=4,
        activation="relu",
        learnable_tgt_init=True,
        two_stage_type="standard",
        use_fusion_layer=True,
        use_text_cross_attention=True,
        use_checkpoint=False,
        use_transformer_ckpt=False,
    )
    if width != 256:
        # The package makes box embeddings of 4 x 128 numbers whatever the width is.
        utilities = package("models.GroundingDINO.utils")
        transformer.decoder.ref_point_head = utilities.MLP(512, width, width, 2)
    with _own_text_encoder(dino, bert, tokenizer):
        model: nn.Module = dino.GroundingDINO(
            joiner,
            transformer,
            num_queries=sizes["num_queries"],
            iter_update=True,
            query_dim=4,
            num_feature_levels=sizes["num_feature_levels"],
            nheads=sizes["nhead"],
            two_stage_type="standard",
            dec_pred_bbox_embed_share=True,
            two_stage_bbox_embed_share=False,
            two_stage_class_embed_share=False,
            sub_sentence_present=True,
            max_text_len=config["max_text_tokens"],
        )
    return model


@contextmanager
def _own_text_encoder(dino: Any, bert: nn.Module, tokenizer: CaptionTokenizer) -> Iterator[None]:
    """Within the block the package takes this text encoder and tokenizer, not a hub's."""
    before = (dino.get_tokenlizer, dino.BertModelWarper)
    dino.get_tokenlizer = SimpleNamespace(
        get_tokenlizer=lambda _: tokenizer, get_pretrained_language_model=lambda _: bert
    )
    dino.BertModelWarper = lambda bert_model: SubSentenceBert(bert_model)
    try:
        yield
    finally:
        dino.get_tokenlizer, dino.BertModelWarper = before


def separator_ids(tokenizer: CaptionTokenizer) -> list[int]:
    """Ids of the tokens that part a caption into sub-sentences."""
    return tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
