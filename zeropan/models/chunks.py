"""Many prompts a few at a time, and fewer when memory runs out."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from zeropan.errors import OutOfMemory

_Answer = TypeVar("_Answer")
_log = logging.getLogger(__name__)


def in_chunks(
    count: int, at_once: int, decode: Callable[[slice], _Answer]
) -> Iterator[tuple[slice, _Answer]]:
    """Decode `count` prompts in order; a part that does not fit is tried again at half its size.

    Args:
        count: number of prompts; may be 0.
        at_once: most prompts of one part, at least 1.
        decode: answers a slice of the prompts; it may be called again for the same ones.

    Yields:
        Each slice and its answer.

    Raises:
        OutOfMemory: a single prompt does not fit.
    """
    start = 0
    while start < count:
        part = slice(start, min(start + at_once, count))
        answer = _attempt(part, decode)
        if answer is None:
            at_once = (part.stop - part.start) // 2
            _log.warning("memory ran out; going on with %d prompts at once", at_once)
            continue
        yield part, answer[0]
        start = part.stop


def _attempt(part: slice, decode: Callable[[slice], _Answer]) -> tuple[_Answer] | None:
    """The part's answer, or None where it does not fit but a smaller part may.

    Its frame ends before the next try, so that what the failed one held is free by then.
    """
    try:
        return (decode(part),)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if part.stop - part.start == 1:
            raise OutOfMemory(
                "the mask of a single prompt does not fit into memory; "
                "use a smaller image, another --device or a machine with more memory"
            ) from error
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whichever device.

    Of the CPU's allocator torch raises a plain RuntimeError, known by its words only.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator" in text or "MPS backend out of memory" in text
    )
