"""Which arithmetic the backbones use: 32-bit floats, or bfloat16 where the hardware is fast at it.

Only the large image and text encoders run in bfloat16. Boxes, prompts and masks stay in 32 bits:
with 8 bits of mantissa a coordinate of 1000 pixels is known to within 4 only.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from zeropan.choices import Precision


def resolve_precision(precision: str, device: str, *, trained_in_fp32: bool = False) -> Precision:
    """Make "auto" what suits the device.

    Args:
        precision: auto, fp32 or bf16.
        device: a device as torch names it, such as "cpu" or "cuda:1".
        trained_in_fp32: the model is too small for bfloat16 to pay; "auto" is fp32.
    """
    if precision == "fp32":
        return "fp32"
    if precision == "bf16":
        return "bf16"
    return "bf16" if not trained_in_fp32 and fast_at_bfloat16(device) else "fp32"


def fast_at_bfloat16(device: str) -> bool:
    """Whether the device has instructions for bfloat16, rather than emulating them."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return False


def encoder_precision(device: str, precision: Precision) -> AbstractContextManager[object]:
    """The context in which a backbone runs."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device_type=device.partition(":")[0], dtype=torch.bfloat16)
