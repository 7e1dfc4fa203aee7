"""The adapters of transformers' models: from a folder's files, against the models themselves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
    Sam3Config,
    Sam3Model,
    SwinConfig,
)

from tests.state_dicts import disturb
from training.detector.model import write_vocabulary
from zeropan.errors import RecordError, WeightsDamaged, WeightsMissing
from zeropan.models.grounding_dino.transformers_adapter import HubGroundingDinoDetector
from zeropan.models.presets import BUNDLED
from zeropan.models.sam.sam2 import Sam2Segmenter
from zeropan.models.sam.sam3 import Sam3Detector
from zeropan.segmentation.records import ImageEmbedding

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def save(model: Any, folder: Path, *, seed: int = 0) -> Path:
    disturb(model, seed=seed)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=Sam2HieraDetConfig(
                hidden_size=16,
                image_size=[128, 128],
                blocks_per_stage=[1, 1, 2, 1],
                embed_dim_per_stage=[16, 32, 64, 128],
                num_attention_heads_per_stage=[1, 2, 4, 8],
                global_attention_blocks=[3],
                window_size_per_stage=[4, 4, 4, 4],
            ),
            backbone_channel_list=[128, 64, 32, 16],
            backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
            fpn_hidden_size=32,
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(
            hidden_size=32, image_size=128, patch_size=16
        ),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=32, mlp_dim=32, num_attention_heads=4, iou_head_hidden_dim=32
        ),
    )
    return save(Sam2Model(config), tmp_path_factory.mktemp("sam2"))


def test_sam2_gives_back_what_the_model_itself_says(sam2: Path) -> None:
    segmenter = Sam2Segmenter.load(sam2)
    embedding = segmenter.embed(IMAGE)
    assert embedding.features.shape[1:] == (8, 8)
    model = segmenter._model
    levels = segmenter.prepare(embedding)
    boxes = np.array([[10, 5, 60, 50], [0, 0, 90, 60]], dtype=np.float32)
    found = segmenter.masks_from_boxes(embedding, boxes, multimask=True)
    scale = np.array([128 / 90, 128 / 60, 128 / 90, 128 / 60], dtype=np.float32)
    with torch.inference_mode():
        own = model(
            image_embeddings=levels,
            input_boxes=torch.tensor(boxes * scale)[None],
            multimask_output=True,
        )
    assert found.masks.shape == (2, 3, 60, 90)
    np.testing.assert_allclose(found.quality, own.iou_scores[0].numpy(), atol=1e-5)
    # The folded pyramid is the pyramid: what the model computes itself, bit for bit.
    from torchvision.transforms.functional import resize, to_pil_image, to_tensor

    from zeropan.models.grounding_dino.grounding import normalise

    pixels = normalise(to_tensor(resize(to_pil_image(IMAGE), [128, 128])))[None]
    with torch.inference_mode():
        for mine, theirs in zip(levels, model.get_image_embeddings(pixels), strict=True):
            torch.testing.assert_close(mine, theirs, atol=0, rtol=0)


def test_sam2_answers_point_sets_of_any_length(sam2: Path) -> None:
    segmenter = Sam2Segmenter.load(sam2, precision="bf16")
    embedding = segmenter.embed(IMAGE)
    sets = [np.array([[5, 5]], np.float32), np.array([[5, 5], [50, 40], [80, 20]], np.float32)]
    marks = [np.array([1], np.int32), np.array([1, 0, 1], np.int32)]
    together = segmenter.masks_from_points(embedding, sets, marks)
    assert together.masks.shape == (2, 1, 60, 90)
    for number in range(2):
        alone = segmenter.masks_from_points(embedding, [sets[number]], [marks[number]])
        # What fills up the shorter set takes part in the attention, with an embedding of 0.
        np.testing.assert_allclose(alone.quality[0], together.quality[number], atol=1e-3)
    none = segmenter.masks_from_points(embedding, [], [])
    assert none.masks.shape == (0, 1, 60, 90)
    with pytest.raises(RecordError, match="features: expected"):
        segmenter.prepare(ImageEmbedding(np.zeros((3, 8, 8), np.float32), (1, 1), (1, 1)))


@pytest.fixture(scope="module")
def mm_grounding_dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mm")
    torch.manual_seed(0)
    lines = write_vocabulary(folder).read_text(encoding="utf-8").splitlines()
    from transformers import BertConfig

    config = MMGroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=64,
            embed_dim=24,
            depths=[1, 1, 1, 1],
            num_heads=[1, 2, 3, 6],
            out_indices=[2, 3, 4],
        ),
        text_config=BertConfig(
            vocab_size=len(lines),
            hidden_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=64,
        ).to_dict(),
        num_queries=20,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
    )
    return save(MMGroundingDinoForObjectDetection(config), folder)


def test_mm_grounding_dino_answers_for_every_prompt(mm_grounding_dino: Path) -> None:
    detector = HubGroundingDinoDetector.load(mm_grounding_dino)
    detector.short_side, detector.long_side = 128, 200
    found = detector.ground(IMAGE, ["cup", "red bowl", "egg"])
    assert found.boxes_xyxy.shape == (1, 20, 4)
    assert set(found.token_prompt.ravel().tolist()) == {-1, 0, 1, 2}
    assert found.boxes_xyxy[..., 2].max() <= 90 and found.boxes_xyxy[..., 3].max() <= 60
    assert float(np.ptp(found.token_scores)) > 0
    assert detector.ground(IMAGE, []).boxes_xyxy.shape == (0, 0, 4)


@pytest.fixture(scope="module")
def sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam3")
    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
    config = Sam3Config(
        vision_config={
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "backbone_config": {
                "model_type": "sam3_vit_model",
                **small,
                "num_hidden_layers": 2,
                "image_size": 112,
                "pretrain_image_size": 112,
                "patch_size": 14,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
        },
        text_config={**small, "num_hidden_layers": 2, "projection_dim": 32, "vocab_size": 2000},
        geometry_encoder_config={**small, "num_layers": 1},
        detr_encoder_config={**small, "num_layers": 1},
        detr_decoder_config={**small, "num_layers": 1, "num_queries": 12},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    save(Sam3Model(config), folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BUNDLED / "clipseg" / name, folder / name)
    return folder


def test_sam3_scores_each_phrase_on_its_own(sam3: Path) -> None:
    detector = Sam3Detector.load(sam3)
    found = detector.ground(IMAGE, ["cup", "plate"])
    assert found.boxes_xyxy.shape == (2, 12, 4)
    assert found.token_prompt.tolist() == [[0], [1]]
    assert found.token_scores.min() >= 0 and found.token_scores.max() <= 1
    alone = detector.ground(IMAGE, ["plate"])
    np.testing.assert_array_equal(alone.token_scores[0], found.token_scores[1])
    np.testing.assert_array_equal(alone.boxes_xyxy[0], found.boxes_xyxy[1])


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "absent", "no config"])
@pytest.mark.parametrize("name", ["sam2", "mm_grounding_dino"])
def test_files_that_do_not_fit_are_listed(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, fault: str
) -> None:
    folder = tmp_path / name
    shutil.copytree(request.getfixturevalue(name), folder)
    weights = folder / "model.safetensors"
    state = load_file(weights)
    key = next(key for key in state if "layer" in key and key.endswith("weight"))
    if fault == "absent":
        weights.unlink()
    elif fault == "no config":
        (folder / "config.json").write_text("{")
    else:
        if fault == "missing":
            del state[key]
        elif fault == "unknown":
            state["something.else"] = torch.zeros(2)
        else:
            state[key] = torch.zeros(7, 7)
        save_file(state, weights, metadata={"format": "pt"})
    kind: Any = Sam2Segmenter if name == "sam2" else HubGroundingDinoDetector
    expected = WeightsMissing if fault == "absent" else WeightsDamaged
    with pytest.raises(expected) as error:
        kind.load(folder)
    if fault in ("missing", "unknown"):
        assert ("something.else" if fault == "unknown" else key) in str(error.value)
