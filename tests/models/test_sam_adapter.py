from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from segment_anything import SamPredictor
from torch.nn import functional as F

from zeropan.errors import RecordError, WeightsDamaged, WeightsMissing
from zeropan.models.presets import BUNDLED
from zeropan.models.protocols import ModelIdentity, PromptableSegmenter
from zeropan.models.sam.adapter import SamSegmenter, input_size_of
from zeropan.models.sam.network import SamArchitecture, build_published_sam, build_sam
from zeropan.scenes.render import render_scene
from zeropan.segmentation.records import ImageEmbedding

ARCHITECTURE = SamArchitecture(
    image_size=64,
    patch_size=8,
    encoder_dim=32,
    encoder_depth=2,
    encoder_heads=2,
    encoder_mlp_ratio=2.0,
    encoder_global_blocks=(1,),
    window_size=4,
    use_rel_pos=True,
    decoder_dim=32,
    decoder_depth=2,
    decoder_heads=4,
    decoder_mlp_dim=32,
    quality_head_dim=16,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("segment_anything")
    torch.manual_seed(3)
    save_file(build_sam(ARCHITECTURE).state_dict(), path / "model.safetensors")
    config = {"architecture": "segment-anything test", "network": asdict(ARCHITECTURE)}
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> SamSegmenter:
    return SamSegmenter.load(folder)


def _image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _predictor(folder: Path) -> SamPredictor:
    loaded = SamSegmenter.load(folder)
    return SamPredictor(loaded._sam)


def test_it_is_a_promptable_segmenter(segmenter: SamSegmenter) -> None:
    checked: PromptableSegmenter = segmenter
    assert checked.identity.architecture == "segment-anything test"


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (97, 31), (30, 200)])
def test_boxes_and_points_answer_as_the_packages_predictor(
    folder: Path, size: tuple[int, int]
) -> None:
    height, width = size
    image = _image(height, width)
    segmenter, predictor = SamSegmenter.load(folder), _predictor(folder)
    predictor.set_image(image)
    embedding = segmenter.embed(image)
    box = np.array([width * 0.2, height * 0.1, width * 0.7, height * 0.9], dtype=np.float32)
    points = np.array([[width / 2, height / 2], [1.0, 2.0]], dtype=np.float32)
    labels = np.array([1, 0], dtype=np.int32)
    for multimask in (False, True):
        wanted, quality, _ = predictor.predict(box=box, multimask_output=multimask)
        ours = segmenter.masks_from_boxes(embedding, box[None], multimask=multimask)
        np.testing.assert_array_equal(ours.masks[0], wanted)
        np.testing.assert_allclose(ours.quality[0], quality, atol=1e-5)
        wanted, quality, _ = predictor.predict(points, labels, multimask_output=multimask)
        ours = segmenter.masks_from_points(embedding, [points], [labels], multimask=multimask)
        np.testing.assert_array_equal(ours.masks[0], wanted)
        np.testing.assert_allclose(ours.quality[0], quality, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (4000, 30), (30, 4000), (63, 65), (7, 3)])
def test_any_image_size_gives_masks_of_that_size(
    segmenter: SamSegmenter, size: tuple[int, int]
) -> None:
    height, width = size
    embedding = segmenter.embed(_image(height, width))
    boxes = np.array([[0, 0, width, height]], dtype=np.float32)
    answer = segmenter.masks_from_boxes(embedding, boxes, multimask=True)
    assert embedding.image_size == size
    assert answer.masks.shape == (1, 3, height, width)
    assert answer.masks.dtype == np.bool_
    assert answer.quality.shape == (1, 3)
    assert answer.quality.dtype == np.float32


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 256, 1024]))
def test_the_long_side_fills_the_square_and_the_shape_is_kept(h: int, w: int, side: int) -> None:
    new_h, new_w = input_size_of(h, w, side)
    assert max(new_h, new_w) == side
    assert min(new_h, new_w) >= 1
    assert abs(new_h - h * side / max(h, w)) <= 1
    assert abs(new_w - w * side / max(h, w)) <= 1


@given(st.integers(40, 600), st.integers(40, 600), st.floats(0.25, 0.75), st.booleans())
def test_a_mask_survives_the_way_into_the_square_and_back(
    segmenter: SamSegmenter, height: int, width: int, cut: float, upright: bool
) -> None:
    sam = segmenter._sam
    side, grid = 64, 32
    h, w = input_size_of(height, width, side)
    truth = np.zeros((height, width), dtype=bool)
    edge = round((width if upright else height) * cut)
    truth[(slice(None), slice(edge)) if upright else (slice(edge), slice(None))] = True
    resized = F.interpolate(
        torch.from_numpy(truth)[None, None].float(), (h, w), mode="bilinear", antialias=True
    )
    square = F.pad(resized * 2 - 1, (0, side - w, 0, side - h), value=-1.0)
    small = F.adaptive_avg_pool2d(square, grid)
    back = sam.postprocess_masks(small, (h, w), (height, width))[0, 0].numpy() > 0
    # The grid has a pixel for every max(H, W) / 32 pixels of the image; the border may move by it.
    assert np.count_nonzero(back != truth) <= max(height, width) / grid * max(truth.shape)


def test_the_same_prompts_give_the_same_bytes(segmenter: SamSegmenter) -> None:
    image = _image(50, 70)
    boxes = np.array([[5, 5, 40, 30], [10, 20, 60, 45]], dtype=np.float32)
    first, second = (
        segmenter.masks_from_boxes(segmenter.embed(image), boxes, multimask=True) for _ in range(2)
    )
    assert first.masks.tobytes() == second.masks.tobytes()
    assert first.quality.tobytes() == second.quality.tobytes()


def test_more_prompts_than_one_pass_holds_are_each_answered(segmenter: SamSegmenter) -> None:
    embedding = segmenter.embed(_image(60, 60))
    corner = np.random.default_rng(1).uniform(0, 30, (37, 2))
    boxes = np.concatenate([corner, corner + 20], axis=1).astype(np.float32)
    together = segmenter.masks_from_boxes(embedding, boxes)
    for index in (0, 15, 16, 36):
        alone = segmenter.masks_from_boxes(embedding, boxes[index : index + 1])
        np.testing.assert_allclose(together.quality[index], alone.quality[0], atol=1e-5)
        assert np.mean(together.masks[index] != alone.masks[0]) < 0.01


def test_point_sets_of_different_lengths_are_answered_as_each_would_be_alone(folder: Path) -> None:
    image = _image(64, 64)
    segmenter, predictor = SamSegmenter.load(folder), _predictor(folder)
    predictor.set_image(image)
    short, long = np.array([[10, 12]], np.float32), np.array([[40, 30], [50, 9]], np.float32)
    ones = [np.ones(1, np.int32), np.ones(2, np.int32)]
    ours = segmenter.masks_from_points(segmenter.embed(image), [short, long], ones)
    for number, (points, labels) in enumerate(zip([short, long], ones, strict=True)):
        wanted, _, _ = predictor.predict(points, labels, multimask_output=False)
        np.testing.assert_array_equal(ours.masks[number], wanted)


@pytest.fixture(scope="module")
def bundled() -> tuple[SamSegmenter, ImageEmbedding]:
    segmenter = SamSegmenter.load(BUNDLED / "segment_anything")
    return segmenter, segmenter.embed(render_scene(1).image)


@pytest.mark.parametrize("multimask", [False, True])
def test_a_boxs_answer_does_not_depend_on_its_companions(
    bundled: tuple[SamSegmenter, ImageEmbedding], multimask: bool
) -> None:
    segmenter, embedding = bundled
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.uniform(0, 256, (40, 2, 2)), axis=1).reshape(40, 4).astype(np.float32)
    whole = segmenter.masks_from_boxes(embedding, boxes, multimask=multimask)
    order = rng.permutation(40)
    turned = segmenter.masks_from_boxes(embedding, boxes[order], multimask=multimask)
    np.testing.assert_array_equal(turned.masks, whole.masks[order])
    np.testing.assert_array_equal(turned.quality, whole.quality[order])
    for number in range(0, 40, 4):
        alone = segmenter.masks_from_boxes(
            embedding, boxes[number : number + 1], multimask=multimask
        )
        np.testing.assert_array_equal(alone.masks[0], whole.masks[number])
        np.testing.assert_array_equal(alone.quality[0], whole.quality[number])


def test_points_answer_does_not_depend_on_their_companions(
    bundled: tuple[SamSegmenter, ImageEmbedding],
) -> None:
    segmenter, embedding = bundled
    rng = np.random.default_rng(0)
    sets = [rng.uniform(0, 256, (n, 2)).astype(np.float32) for n in (1, 32, 5, 7)]
    signs = [rng.integers(0, 2, len(points)).astype(np.int32) for points in sets]
    whole = segmenter.masks_from_points(embedding, sets, signs)
    for number, (points, own) in enumerate(zip(sets, signs, strict=True)):
        alone = segmenter.masks_from_points(embedding, [points], [own])
        np.testing.assert_array_equal(alone.masks[0], whole.masks[number])
        np.testing.assert_array_equal(alone.quality[0], whole.quality[number])


def test_no_prompt_gives_no_mask(segmenter: SamSegmenter) -> None:
    embedding = segmenter.embed(_image(20, 30))
    answer = segmenter.masks_from_boxes(embedding, np.zeros((0, 4), np.float32))
    assert answer.masks.shape == (0, 1, 20, 30)
    assert segmenter.masks_from_points(embedding, [], []).quality.shape == (0, 1)


def test_a_higher_threshold_keeps_a_part_of_the_mask(segmenter: SamSegmenter) -> None:
    embedding = segmenter.embed(_image(64, 64))
    box = np.array([[8, 8, 50, 50]], np.float32)
    low, high = (
        segmenter.masks_from_boxes(embedding, box, mask_threshold=t).masks for t in (-0.05, 0.05)
    )
    assert not np.any(high & ~low)
    assert np.count_nonzero(high) < np.count_nonzero(low)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_refused(segmenter: SamSegmenter, image: np.ndarray) -> None:
    with pytest.raises(RecordError, match="image: expected"):
        segmenter.embed(image)


def test_prompts_of_the_wrong_shape_are_refused(segmenter: SamSegmenter) -> None:
    embedding = segmenter.embed(_image(8, 8))
    one = np.ones(1, np.int32)
    with pytest.raises(RecordError, match="boxes_xyxy"):
        segmenter.masks_from_boxes(embedding, np.zeros((2, 3), np.float32))
    with pytest.raises(RecordError, match="points_xy"):
        segmenter.masks_from_points(embedding, [np.zeros((0, 2), np.float32)], [one[:0]])
    with pytest.raises(RecordError, match="labels"):
        segmenter.masks_from_points(embedding, [np.zeros((2, 2), np.float32)], [one])
    with pytest.raises(RecordError, match="labels"):
        segmenter.masks_from_points(embedding, [np.zeros((2, 2), np.float32)], [])


def test_another_models_embedding_is_refused(segmenter: SamSegmenter) -> None:
    foreign = ImageEmbedding(np.zeros((16, 8, 8), np.float32), (64, 64), (64, 64))
    with pytest.raises(RecordError, match="features: expected"):
        segmenter.masks_from_boxes(foreign, np.zeros((1, 4), np.float32))


def _copy(folder: Path, to: Path) -> Path:
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def test_identity_follows_the_bytes(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path)
    identity: ModelIdentity = SamSegmenter.load(folder).identity
    assert SamSegmenter.load(copy).identity == identity
    state = build_sam(ARCHITECTURE).state_dict()
    save_file(state, copy / "model.safetensors")
    assert SamSegmenter.load(copy).identity.sha256 != identity.sha256


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_an_absent_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    copy = _copy(folder, tmp_path)
    (copy / name).unlink()
    with pytest.raises(WeightsMissing, match=name):
        SamSegmenter.load(copy)


def test_missing_extra_and_misshapen_weights_are_listed(folder: Path, tmp_path: Path) -> None:
    copy = _copy(folder, tmp_path)
    state = build_sam(ARCHITECTURE).state_dict()
    state["stranger"] = torch.zeros(1)
    del state["mask_decoder.iou_token.weight"]
    state["image_encoder.pos_embed"] = torch.zeros(1, 4, 4, 32)
    save_file(state, copy / "model.safetensors")
    with pytest.raises(WeightsDamaged) as caught:
        SamSegmenter.load(copy)
    for part in ("stranger", "mask_decoder.iou_token.weight", "image_encoder.pos_embed"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [{}, {"variant": "vit_x"}, {"network": {"image_size": 64}}, {"network": {"colour": "red"}}],
)
def test_a_config_that_describes_no_sam_is_refused(
    folder: Path, tmp_path: Path, config: dict[str, object]
) -> None:
    copy = _copy(folder, tmp_path)
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsDamaged, match=r"config\.json"):
        SamSegmenter.load(copy)


@pytest.mark.parametrize(("variant", "millions"), [("vit_b", 94), ("vit_l", 312), ("vit_h", 641)])
def test_published_variants_have_their_sizes(variant: str, millions: int) -> None:
    with torch.device("meta"):
        sam = build_published_sam(variant)
    assert round(sum(p.numel() for p in sam.parameters()) / 1e6) == millions
    assert sam.image_encoder.img_size == 1024
