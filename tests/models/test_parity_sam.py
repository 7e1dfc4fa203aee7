"""Our segment-anything adapter and transformers' SAM agree when they hold one model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.utils.transforms import ResizeLongestSide
from torch.nn import functional
from transformers import (
    SamConfig,
    SamMaskDecoderConfig,
    SamModel,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from tests.state_dicts import disturb, sam_for_transformers
from zeropan.models.protocols import ModelIdentity
from zeropan.models.sam.adapter import SamSegmenter, input_size_of
from zeropan.models.sam.network import SamArchitecture, build_sam

SIDE, SIZE = 128, (75, 100)
BOXES = np.array([[10, 5, 60, 50], [30.5, 20.2, 99, 70], [0, 0, 100, 75]], dtype=np.float32)
POINTS = [
    np.array([[20, 30]], dtype=np.float32),
    np.array([[50, 40], [5, 5], [90, 60]], dtype=np.float32),
]
LABELS = [np.array([1], dtype=np.int32), np.array([1, 0, 1], dtype=np.int32)]


@pytest.fixture(scope="module")
def pair() -> tuple[SamSegmenter, SamModel]:
    torch.manual_seed(0)
    sam = build_sam(
        SamArchitecture(
            image_size=SIDE,
            patch_size=16,
            encoder_dim=32,
            encoder_depth=3,
            encoder_heads=2,
            encoder_mlp_ratio=2,
            encoder_global_blocks=(1,),
            window_size=3,
            use_rel_pos=True,
            decoder_dim=32,
            decoder_depth=2,
            decoder_heads=8,
            decoder_mlp_dim=64,
            quality_head_dim=256,
        )
    )
    disturb(sam, seed=1)
    theirs = SamModel(
        SamConfig(
            vision_config=SamVisionConfig(
                hidden_size=32,
                num_hidden_layers=3,
                num_attention_heads=2,
                image_size=SIDE,
                patch_size=16,
                window_size=3,
                global_attn_indexes=[1],
                mlp_dim=64,
                output_channels=32,
                num_pos_feats=16,
            ),
            prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=SIDE),
            mask_decoder_config=SamMaskDecoderConfig(hidden_size=32, mlp_dim=64),
        )
    ).eval()
    theirs.load_state_dict(sam_for_transformers(sam.state_dict()), strict=True)
    return SamSegmenter(sam, ModelIdentity("one model", "0" * 64)), theirs


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def their_pixels(image: np.ndarray) -> torch.Tensor:
    """The package's own preprocessing: resize, normalise, pad."""
    resized = ResizeLongestSide(SIDE).apply_image(image)
    pixels = torch.as_tensor(resized).permute(2, 0, 1)[None].float()
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    height, width = pixels.shape[2:]
    return functional.pad((pixels - mean) / std, (0, SIDE - width, 0, SIDE - height))


def test_embeddings_agree(pair: tuple[SamSegmenter, SamModel], image: np.ndarray) -> None:
    ours = torch.from_numpy(np.array(pair[0].embed(image).features))
    with torch.inference_mode():
        theirs = pair[1].get_image_embeddings(their_pixels(image))[0]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert float(ours.std()) > 0.1


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("prompt", ["boxes", "points"])
def test_masks_and_their_quality_agree(
    pair: tuple[SamSegmenter, SamModel], image: np.ndarray, prompt: str, multimask: bool
) -> None:
    sam, theirs = pair
    embedding = sam.embed(image)
    scale = np.array([embedding.input_size[1] / SIZE[1], embedding.input_size[0] / SIZE[0]])
    if prompt == "boxes":
        found = sam.masks_from_boxes(embedding, BOXES, multimask=multimask)
        asked = [
            {"input_boxes": torch.tensor(box * np.tile(scale, 2).astype(np.float32))[None, None]}
            for box in BOXES
        ]
    else:
        found = sam.masks_from_points(embedding, POINTS, LABELS, multimask=multimask)
        asked = [
            {
                "input_points": torch.tensor((points * scale).astype(np.float32))[None, None],
                "input_labels": torch.tensor(marks.astype(np.int64))[None, None],
            }
            for points, marks in zip(POINTS, LABELS, strict=True)
        ]
    with torch.inference_mode():
        answers = [
            theirs(
                image_embeddings=torch.tensor(embedding.features)[None],
                multimask_output=multimask,
                **inputs,
            )
            for inputs in asked
        ]
    quality = torch.cat([answer.iou_scores[0] for answer in answers])
    logits = torch.cat([answer.pred_masks[0] for answer in answers])
    np.testing.assert_allclose(found.quality, quality.numpy(), atol=1e-4)
    square = functional.interpolate(logits, (SIDE, SIDE), mode="bilinear")
    height, width = embedding.input_size
    full = functional.interpolate(square[..., :height, :width], SIZE, mode="bilinear").numpy()
    # Where a logit is within rounding of the threshold, either answer is right.
    sure = np.abs(full) > 1e-5
    np.testing.assert_array_equal(found.masks[sure], (full > 0)[sure])
    assert 0.01 < found.masks.mean() < 0.99 and sure.mean() > 0.99


@pytest.mark.parametrize("size", [(480, 640), (1500, 1000), (33, 1024), (1024, 1024), (7, 2000)])
def test_preprocessing_is_the_packages_to_the_last_bit(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    sam = build_sam(
        SamArchitecture(
            image_size=1024,
            patch_size=128,
            encoder_dim=8,
            encoder_depth=1,
            encoder_heads=1,
            encoder_mlp_ratio=1,
            encoder_global_blocks=(0,),
            window_size=0,
            use_rel_pos=False,
            decoder_dim=16,
            decoder_depth=1,
            decoder_heads=1,
            decoder_mlp_dim=8,
            quality_head_dim=8,
        )
    )
    seen: list[torch.Tensor] = []
    sam.image_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    SamSegmenter(sam, ModelIdentity("preprocessing", "0" * 64)).embed(image)
    resized = ResizeLongestSide(1024).apply_image(image)
    assert resized.shape[:2] == input_size_of(*size, 1024)
    pixels = torch.as_tensor(resized).permute(2, 0, 1)[None].contiguous()
    assert torch.equal(seen[0], sam.preprocess(pixels))
