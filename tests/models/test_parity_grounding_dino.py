"""Our groundingdino-py adapter and transformers' Grounding DINO agree when they hold one model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    SwinConfig,
)

from tests.state_dicts import disturb, grounding_dino_for_transformers
from training.detector.model import write_vocabulary
from zeropan.models.grounding_dino.adapter import GroundingDinoDetector
from zeropan.models.grounding_dino.build import (
    CaptionTokenizer,
    build_grounding_dino,
    package,
    quiet_package,
)
from zeropan.models.grounding_dino.grounding import preprocess, resized_size
from zeropan.models.grounding_dino.transformers_adapter import HubGroundingDinoDetector
from zeropan.models.protocols import ModelIdentity
from zeropan.models.published.architectures import grounding_dino_config

IDENTITY = ModelIdentity("one model", "0" * 64)


def small_config(vocabulary: int) -> dict[str, Any]:
    """The published architecture with every part there, but fewer and narrower layers."""
    config = copy.deepcopy(grounding_dino_config("swin_t"))
    config["bert"] |= {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
    config["swin"] |= {"embed_dim": 24, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 3, 6]}
    config["transformer"] |= {
        "num_queries": 40,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "dim_feedforward": 128,
    }
    return config


def for_transformers(config: dict[str, Any]) -> GroundingDinoConfig:
    swin, sizes = config["swin"], config["transformer"]
    return GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=swin["pretrain_img_size"],
            embed_dim=swin["embed_dim"],
            depths=swin["depths"],
            num_heads=swin["num_heads"],
            window_size=swin["window_size"],
            out_indices=[index + 1 for index in swin["out_indices"]],
            drop_path_rate=0.0,
        ),
        text_config=BertConfig(**config["bert"]).to_dict(),
        d_model=sizes["d_model"],
        num_queries=sizes["num_queries"],
        encoder_layers=sizes["num_encoder_layers"],
        decoder_layers=sizes["num_decoder_layers"],
        encoder_ffn_dim=sizes["dim_feedforward"],
        decoder_ffn_dim=sizes["dim_feedforward"],
        encoder_attention_heads=sizes["nhead"],
        decoder_attention_heads=sizes["nhead"],
        num_feature_levels=sizes["num_feature_levels"],
        max_text_len=config["max_text_tokens"],
    )


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[GroundingDinoDetector, HubGroundingDinoDetector]:
    folder = tmp_path_factory.mktemp("vocabulary")
    tokenizer = CaptionTokenizer(write_vocabulary(folder))
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    config = small_config(len(lines))
    torch.manual_seed(0)
    ours = build_grounding_dino(config, tokenizer)
    disturb(ours, seed=1)
    theirs = GroundingDinoForObjectDetection(for_transformers(config)).eval()
    found = theirs.load_state_dict(grounding_dino_for_transformers(ours.state_dict()), strict=False)
    assert found.unexpected_keys == []
    # The last layer norm of Swin is made and never used by a backbone.
    assert all("swin.layernorm" in key for key in found.missing_keys)
    sides = {"short_side": 200, "long_side": 320}
    return (
        GroundingDinoDetector(ours, tokenizer, IDENTITY, max_text_tokens=256, **sides),
        HubGroundingDinoDetector(theirs, tokenizer, IDENTITY, **sides),
    )


@pytest.mark.parametrize(
    "prompts",
    [
        ["cup"],
        ["red cup", "bowl", "blue plate"],
        ["egg", "a very long phrase with many words", "chopsticks", "tomato", "lemon"],
        [f"cup {number}" for number in range(110)],
    ],
    ids=["one", "sub-sentences", "lengths", "several passes"],
)
def test_the_two_implementations_agree(
    pair: tuple[GroundingDinoDetector, HubGroundingDinoDetector], prompts: list[str]
) -> None:
    image = np.random.default_rng(3).integers(0, 256, (150, 233, 3), dtype=np.uint8)
    ours, theirs = (detector.ground(image, prompts) for detector in pair)
    assert len(ours.boxes_xyxy) == (2 if len(prompts) > 100 else 1)
    np.testing.assert_array_equal(ours.token_prompt, theirs.token_prompt)
    np.testing.assert_allclose(ours.token_scores, theirs.token_scores, atol=1e-4)
    # Pixels of an image of 233: relative to it, 1e-4.
    np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=1e-4 * 233)
    assert np.ptp(ours.token_scores[ours.token_prompt[:, None].repeat(40, 1) >= 0]) > 0.01


def test_padding_a_caption_changes_nothing(
    pair: tuple[GroundingDinoDetector, HubGroundingDinoDetector],
) -> None:
    """One caption alone here, in a padded batch there.

    A batch with groundingdino-py itself is no measure: its text layers repeat the masks of a batch
    in the wrong order. zeropan asks one caption at a time.
    """
    ours, theirs = pair
    pixels = torch.randn(1, 3, 192, 256, generator=torch.Generator().manual_seed(0))
    captions = ["red cup . bowl . egg .", "plate ."]
    with torch.inference_mode(), quiet_package():
        together = theirs.model(
            pixel_values=pixels.expand(2, -1, -1, -1), **theirs.tokenizer(captions)
        )
        for row, caption in enumerate(captions):
            alone = ours.model(nested(pixels), captions=[caption])
            length = len(theirs.tokenizer.encode(caption).ids)
            torch.testing.assert_close(
                alone["pred_logits"][0, :, :length].sigmoid(),
                together.logits[row, :, :length].sigmoid(),
                atol=1e-4,
                rtol=0,
            )
            torch.testing.assert_close(
                alone["pred_boxes"][0], together.pred_boxes[row], atol=1e-4, rtol=0
            )


def test_a_padded_image_is_encoded_alike(
    pair: tuple[GroundingDinoDetector, HubGroundingDinoDetector],
) -> None:
    """The decoders then differ by up to 0.02 in a score: transformers' masks padding otherwise.

    zeropan pads only images that are less than 32 pixels high or wide after resizing.
    """
    ours, theirs = pair
    pixels = torch.randn(1, 3, 192, 256, generator=torch.Generator().manual_seed(0))
    inside = torch.zeros(1, 192, 256, dtype=torch.bool)
    inside[:, :128, :200] = True
    pixels = pixels * inside[:, None]
    encoded: list[torch.Tensor] = []
    handles = [
        ours.model.get_submodule("transformer.encoder").register_forward_hook(
            lambda *call: encoded.append(call[2][0])
        ),
        theirs.model.model.encoder.register_forward_hook(
            lambda *call: encoded.append(call[2].last_hidden_state_vision)
        ),
    ]
    caption = ["red cup . bowl ."]
    with torch.inference_mode(), quiet_package():
        a = ours.model(nested(pixels, ~inside), captions=caption)["pred_logits"]
        b = theirs.model(
            pixel_values=pixels, pixel_mask=inside.long(), **theirs.tokenizer(caption)
        ).logits
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(encoded[0], encoded[1], atol=1e-4, rtol=0)
    assert float((a[..., :7].sigmoid() - b[..., :7].sigmoid()).abs().max()) < 0.05


def nested(pixels: torch.Tensor, padding: torch.Tensor | None = None) -> Any:
    """groundingdino-py's batch of images."""
    if padding is None:
        padding = torch.zeros(len(pixels), *pixels.shape[2:], dtype=torch.bool)
    return package("util.misc").NestedTensor(pixels, padding)


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (801, 1333), (100, 900), (800, 800)])
def test_preprocessing_is_the_packages_to_the_last_bit(size: tuple[int, int]) -> None:
    from PIL import Image

    transforms = package("datasets.transforms")
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    theirs, _ = transforms.Compose(
        [
            transforms.RandomResize([800], max_size=1333),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )(Image.fromarray(image), None)
    ours = preprocess(image, short_side=800, long_side=1333)
    assert resized_size(*size, short_side=800, long_side=1333) == tuple(theirs.shape[1:])
    assert torch.equal(ours, theirs)


def test_the_backbone_runs_once_for_all_captions(
    pair: tuple[GroundingDinoDetector, HubGroundingDinoDetector],
) -> None:
    detector = pair[0]
    swin = detector.model.get_submodule("backbone.0")
    embedded: list[int] = []
    handle = swin.get_submodule("patch_embed").register_forward_hook(lambda *_: embedded.append(1))
    found = detector.ground(np.zeros((64, 64, 3), np.uint8), [f"cup {n}" for n in range(300)])
    handle.remove()
    assert len(found.boxes_xyxy) >= 4
    assert len(embedded) == 1


def test_bfloat16_changes_scores_little(
    pair: tuple[GroundingDinoDetector, HubGroundingDinoDetector],
) -> None:
    image = np.random.default_rng(5).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    for detector in pair:
        exact = detector.ground(image, ["cup", "bowl"])
        detector.precision = "bf16"
        half = detector.ground(image, ["cup", "bowl"])
        detector.precision = "fp32"
        best = [found.token_scores.max(axis=1) for found in (exact, half)]
        assert not np.array_equal(*best)
        assert float(np.abs(best[0] - best[1]).max()) < 0.1
