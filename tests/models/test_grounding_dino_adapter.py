"""The adapter on a randomly initialised model: shapes, frames, strict loading."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from training.detector.model import CONFIG, new_model, training_pass, write_vocabulary
from zeropan.errors import WeightsDamaged, WeightsMissing
from zeropan.models.grounding_dino.adapter import GroundingDinoDetector
from zeropan.models.grounding_dino.build import CaptionTokenizer, quiet_package
from zeropan.models.grounding_dino.grounding import preprocess, to_pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    model = new_model(CaptionTokenizer(write_vocabulary(folder)))
    # A parameter that several names share is stored under each.
    save_file(
        {name: value.clone().contiguous() for name, value in model.state_dict().items()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> GroundingDinoDetector:
    return GroundingDinoDetector.load(folder)


def scene(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (30, 400), (400, 30), (256, 256), (97, 61)])
def test_any_size_gives_boxes_inside_the_image(
    detector: GroundingDinoDetector, size: tuple[int, int]
) -> None:
    found = detector.ground(scene(*size), ["cup", "red bowl"])
    assert found.boxes_xyxy.shape == (1, 50, 4)
    assert found.image_size == size
    assert found.boxes_xyxy.min() >= 0
    assert found.boxes_xyxy[..., 0::2].max() <= size[1]
    assert found.boxes_xyxy[..., 1::2].max() <= size[0]
    assert found.token_prompt.tolist() == [[-1, 0, -1, 1, 1, -1, -1]]
    assert 0 <= found.token_scores.min() <= found.token_scores.max() <= 1


def test_no_prompt_is_no_pass(detector: GroundingDinoDetector) -> None:
    found = detector.ground(scene(64, 64), [])
    assert found.boxes_xyxy.shape == (0, 0, 4)
    assert found.token_scores.shape[0] == 0


def test_many_prompts_make_several_passes(detector: GroundingDinoDetector) -> None:
    prompts = [f"cup {number}" for number in range(120)]
    found = detector.ground(scene(64, 64), prompts)
    assert found.boxes_xyxy.shape[0] > 1
    assert set(found.token_prompt[found.token_prompt >= 0].tolist()) == set(range(120))


def test_the_same_image_gives_the_same_bytes(detector: GroundingDinoDetector) -> None:
    first, second = (detector.ground(scene(80, 120), ["egg"]) for _ in range(2))
    assert first.boxes_xyxy.tobytes() == second.boxes_xyxy.tobytes()
    assert first.token_scores.tobytes() == second.token_scores.tobytes()


def test_training_sees_what_inference_gives(detector: GroundingDinoDetector) -> None:
    image = scene(192, 192)
    found = detector.ground(image, ["cup", "red bowl"])
    with torch.inference_mode(), quiet_package():
        trained = training_pass(
            detector.model,
            detector.tokenizer,
            preprocess(image, short_side=192, long_side=320)[None],
            ["cup . red bowl ."],
        )
    logits, boxes = trained.layers[-1]
    np.testing.assert_allclose(to_pixels(boxes[0], (192, 192)), found.boxes_xyxy[0], atol=1e-2)
    np.testing.assert_allclose(logits[0].sigmoid(), found.token_scores[0], atol=1e-4)


def test_boxes_go_to_pixels_of_the_original() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.5, 1.0], [0.0, 0.0, 0.5, 0.5]])
    assert to_pixels(boxes, (100, 200)).tolist() == [[50, 0, 150, 100], [0, 0, 50, 25]]


@pytest.mark.parametrize("fault", ["missing", "extra", "shape", "torn", "absent"])
def test_weights_that_do_not_fit_are_refused(folder: Path, tmp_path: Path, fault: str) -> None:
    write_vocabulary(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    state = load_file(folder / "model.safetensors")
    if fault == "missing":
        del state["feat_map.bias"]
    if fault == "extra":
        state["surplus"] = torch.zeros(1)
    if fault == "shape":
        state["feat_map.bias"] = torch.zeros(3)
    if fault != "absent":
        save_file(state, tmp_path / "model.safetensors")
    if fault == "torn":
        whole = (tmp_path / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    expected = WeightsMissing if fault == "absent" else WeightsDamaged
    words = {
        "missing": "feat_map.bias is missing",
        "extra": "surplus is unknown",
        "shape": "feat_map.bias is \\(3,\\), not \\(128,\\)",
        "torn": "cannot be read",
        "absent": "is not there",
    }
    with pytest.raises(expected, match=words[fault]):
        GroundingDinoDetector.load(tmp_path)
