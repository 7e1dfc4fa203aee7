"""Which arithmetic "auto" means, and that bfloat16 stays inside the backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zeropan.models.precision import encoder_precision, fast_at_bfloat16, resolve_precision
from zeropan.models.presets import BUNDLED
from zeropan.models.sam.adapter import SamSegmenter


def test_what_is_asked_for_is_given() -> None:
    assert resolve_precision("fp32", "cuda") == "fp32"
    assert resolve_precision("bf16", "cpu", trained_in_fp32=True) == "bf16"
    assert resolve_precision("auto", "cpu", trained_in_fp32=True) == "fp32"
    assert resolve_precision("auto", "mps") == "fp32"


def test_auto_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert fast_at_bfloat16("cpu") and resolve_precision("auto", "cpu") == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    assert resolve_precision("auto", "cpu") == "fp32"


def test_fp32_leaves_the_arithmetic_alone() -> None:
    a = torch.rand(3, 3)
    with encoder_precision("cpu", "fp32"):
        assert (a @ a).dtype == torch.float32
    with encoder_precision("cpu", "bf16"):
        assert (a @ a).dtype == torch.bfloat16


def test_masks_of_a_bfloat16_embedding_are_nearly_those_of_fp32() -> None:
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    image[20:70, 30:90] = (200, 40, 40)
    box = np.array([[30, 20, 90, 70]], dtype=np.float32)
    folder = BUNDLED / "segment_anything"
    exact = SamSegmenter.load(folder)
    half = SamSegmenter.load(folder, precision="bf16")
    one, other = exact.embed(image), half.embed(image)
    assert one.features.dtype == other.features.dtype
    difference = float(np.abs(one.features - other.features).mean())
    assert 0 < difference < 0.05 * float(np.abs(one.features).mean())
    a = exact.masks_from_boxes(one, box).masks[0, 0]
    b = half.masks_from_boxes(other, box).masks[0, 0]
    assert (a & b).sum() / (a | b).sum() > 0.97
