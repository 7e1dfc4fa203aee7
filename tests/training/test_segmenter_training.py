from __future__ import annotations

import numpy as np
import pytest
import torch

from training.segmenter.data import CLASSES, MAX_POINTS, OFFSET_SCALE, draw_sample
from training.segmenter.decoder import decode_masks
from training.segmenter.losses import hard_iou, mask_losses, prompt_weights
from zeropan.models.sam.network import SamArchitecture, build_sam
from zeropan.scenes.render import render_scene

ARCHITECTURE = SamArchitecture(
    image_size=32,
    patch_size=8,
    encoder_dim=16,
    encoder_depth=1,
    encoder_heads=2,
    encoder_mlp_ratio=1.0,
    encoder_global_blocks=(0,),
    window_size=4,
    use_rel_pos=False,
    decoder_dim=32,
    decoder_depth=2,
    decoder_heads=4,
    decoder_mlp_dim=32,
    quality_head_dim=16,
)


def test_the_rearranged_decoder_answers_as_the_packages() -> None:
    torch.manual_seed(0)
    sam = build_sam(ARCHITECTURE)
    features = torch.randn(2, 32, 4, 4)
    points, labels = torch.rand(2, 3, 5, 2) * 32, torch.ones(2, 3, 5)
    encoder = sam.prompt_encoder
    with torch.no_grad():
        sparse, dense = encoder((points.flatten(0, 1), labels.flatten(0, 1)), None, None)
        sparse = sparse.view(2, 3, 6, 32)
        logits, quality = decode_masks(
            sam.mask_decoder, features, encoder.get_dense_pe(), sparse, encoder.no_mask_embed.weight
        )
        for image in range(2):
            wanted, wanted_quality = sam.mask_decoder.predict_masks(
                features[image : image + 1], encoder.get_dense_pe(), sparse[image], dense[:3]
            )
            torch.testing.assert_close(logits[image], wanted, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(quality[image], wanted_quality, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_prompts_and_targets_of_a_scene_agree(seed: int) -> None:
    scene = render_scene(1_000_000 + seed, height=128, width=128)
    segments = [
        {"id": s.id, "name": s.name, "isthing": s.isthing, "area": s.area} for s in scene.segments
    ]
    sample = draw_sample(
        scene.image,
        scene.label_map.astype(np.uint8),
        segments,
        np.random.default_rng(seed),
        boxes=4,
        point_sets=4,
    )
    assert sample["images"].shape == (3, 128, 128)
    assert sample["targets"].shape == (8, 64, 64)
    for box, target in zip(sample["boxes"], sample["targets"][:4], strict=True):
        rows, columns = np.nonzero(target > 0)
        reach = 0.12 * np.tile(box[2:] - box[:2], 2) * 1.4 + 4
        tight = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * 2
        assert np.all(np.abs(tight - box) <= reach)
    for points, labels, target in zip(
        sample["points"], sample["point_labels"], sample["targets"][4:], strict=True
    ):
        used = labels >= 0
        assert 1 <= used.sum() <= MAX_POINTS
        cells = (points[used] / 2).astype(int)
        right = (target[cells[:, 1], cells[:, 0]] > 0) == (labels[used] == 1)
        assert right.mean() >= 0.5  # some are wrong on purpose, and cells straddle borders
    known = np.isfinite(sample["offsets"][0])
    things = np.isin(
        sample["classes"], [CLASSES.index(s["name"]) for s in segments if s["isthing"]]
    )
    assert not np.any(known & ~things)
    assert np.nanmax(np.abs(sample["offsets"])) * OFFSET_SCALE < 128
    padding = np.isnan(sample["images"][0])
    assert not sample["targets"][:, padding.reshape(64, 2, 64, 2).all(axis=(1, 3))].any()


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_the_mask_loss_falls_to_nothing_for_the_right_answer(balance: float) -> None:
    target = torch.zeros(1, 1, 8, 8)
    target[..., 2:5, 3:7] = 1
    weights = torch.ones_like(target)
    answers = torch.cat([(target * 2 - 1) * 20, -(target * 2 - 1) * 20, target * 0 - 20], dim=1)
    right, wrong, empty = mask_losses(answers, target, weights, balance=balance)[0].tolist()
    assert right == pytest.approx(0.0, abs=1e-3)
    assert right < empty < wrong
    assert hard_iou(answers, target)[0].tolist() == [1.0, 0.0, 0.0]


def test_pixels_far_from_a_box_hardly_count() -> None:
    weights = prompt_weights(torch.tensor([[[8.0, 8.0, 24.0, 16.0]]]), 2, side=64, grid=32)
    assert weights.shape == (1, 3, 32, 32)
    assert weights[0, 0, 6, 8] == 1.0
    assert weights[0, 0, 20, 8] == pytest.approx(0.1)
    assert torch.all(weights[0, 1:] == 1.0)
