"""What every Grounding DINO shares, whichever package runs it: the frame, the passes, the records.

Preprocessing is that of the package groundingdino-py, to the last bit: its rounding of the resized
size, Pillow's bilinear filter, ImageNet's moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.functional import resize, to_pil_image, to_tensor

from zeropan.choices import Precision
from zeropan.models.grounding_dino.captions import CaptionPass
from zeropan.models.precision import encoder_precision
from zeropan.segmentation.records import Float32, GroundedBoxes, UInt8

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LEAST_SIDE = 32
"""The backbone halves an image five times; smaller inputs are padded to this, in pixels."""


def assemble(
    passes: Sequence[CaptionPass],
    answer: Callable[[CaptionPass], tuple[Tensor, Tensor]],
    prompts: Sequence[str],
    size: tuple[int, int],
) -> GroundedBoxes:
    """Ask a model for one caption after the other and keep all it says.

    Args:
        passes: what `zeropan.models.grounding_dino.captions.plan_captions` made of the prompts.
        answer: for a pass, logits float (Q, at least its tokens) and boxes float (Q, 4) as centre
            and size in shares of the image.
        prompts: words or phrases.
        size: (H, W) of the original image.
    """
    length = max((len(one.token_prompt) for one in passes), default=0)
    boxes: list[Float32] = []
    scores: list[Float32] = []
    owners = np.full((len(passes), length), -1, np.int32)
    for number, one in enumerate(passes):
        logits, found = answer(one)
        tokens = len(one.token_prompt)
        owners[number, :tokens] = one.token_prompt
        padded = torch.zeros(len(logits), length)
        padded[:, :tokens] = logits[:, :tokens].float().sigmoid().cpu()
        scores.append(padded.numpy())
        boxes.append(to_pixels(found.float().cpu(), size).numpy())
    return GroundedBoxes(
        boxes_xyxy=np.stack(boxes) if boxes else np.zeros((0, 0, 4), np.float32),
        token_scores=np.stack(scores) if scores else np.zeros((0, 0, length), np.float32),
        token_prompt=owners,
        prompts=tuple(prompts),
        image_size=size,
    )


class EncoderOnce:
    """Stands before an image encoder for good, and remembers its answer while it is told to.

    Args:
        encoder: its answer holds a pyramid: a list of (tensor, mask), or a mapping to objects
            with `tensors`.
        device: as torch names it.
    """

    def __init__(self, encoder: nn.Module, device: str) -> None:
        self._forward: Callable[..., Any] = encoder.forward
        self._device = device
        self._precision: Precision = "fp32"
        self._remembers = False
        self._known: Any = None
        encoder.forward = self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The encoder's answer, or the one it gave before within the same block."""
        if self._known is not None:
            return self._known
        with encoder_precision(self._device, self._precision):
            answer = self._forward(*arguments, **options)
        if isinstance(answer, dict):
            for level in answer.values():
                level.tensors = level.tensors.float()
        else:
            answer = [(level.float(), mask) for level, mask in answer]
        self._known = answer if self._remembers else None
        return answer

    @contextmanager
    def one_image(self, precision: Precision) -> Iterator[None]:
        """Within the block the encoder runs once, however many captions are asked.

        Args:
            precision: of the encoder; what it answers is fp32 again.
        """
        self._precision, self._remembers = precision, True
        try:
            yield
        finally:
            self._precision, self._remembers, self._known = "fp32", False, None


def resized_size(height: int, width: int, *, short_side: int, long_side: int) -> tuple[int, int]:
    """(h, w) of the model's input, rounded as groundingdino-py rounds it, but at least 1.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        short_side: wanted length of the shorter side, pixels.
        long_side: most pixels of the longer one.
    """
    low, high = min(height, width), max(height, width)
    if high / low * short_side > long_side:
        short_side = max(1, round(long_side * low / high))
    if low == short_side:
        return height, width
    if width < height:
        return int(short_side * height / width), short_side
    return short_side, int(short_side * width / height)


def preprocess(image: UInt8, *, short_side: int, long_side: int) -> Tensor:
    """Resize to a short side, but at most a long side, and normalise with ImageNet's moments.

    Args:
        image: uint8 (H, W, 3), RGB.
        short_side: pixels.
        long_side: pixels.

    Returns:
        float32 (3, h, w).
    """
    size = resized_size(*image.shape[:2], short_side=short_side, long_side=long_side)
    return normalise(to_tensor(resize(to_pil_image(np.ascontiguousarray(image)), list(size))))


def padded_batch(image: UInt8, *, short_side: int, long_side: int) -> tuple[Tensor, Tensor]:
    """The model's input as a batch of one.

    Returns:
        Pixels float32 (1, 3, h, w) and, bool (1, h, w), where they are the image's.
    """
    pixels = preprocess(image, short_side=short_side, long_side=long_side)
    height, width = pixels.shape[1:]
    canvas = torch.zeros(3, max(height, LEAST_SIDE), max(width, LEAST_SIDE))
    canvas[:, :height, :width] = pixels
    inside = torch.zeros(canvas.shape[1:], dtype=torch.bool)
    inside[:height, :width] = True
    return canvas[None], inside[None]


def normalise(pixels: Tensor) -> Tensor:
    """Subtract ImageNet's mean and divide by its deviation: float (..., 3, h, w) in [0, 1]."""
    mean = torch.tensor(MEAN, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(STD, device=pixels.device).view(3, 1, 1)
    return (pixels - mean) / std


def to_pixels(boxes_cxcywh: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes as shares of the image to corners in its pixels, clipped to it: float32 (..., 4)."""
    height, width = size
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    corners = torch.cat([centre - half, centre + half], dim=-1).clamp(0, 1)
    return corners * torch.tensor([width, height, width, height], dtype=torch.float32)
