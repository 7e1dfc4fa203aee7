"""One sentence when memory runs out, on whichever device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zeropan.errors import OutOfMemory


@contextmanager
def a_prompt_fits() -> Iterator[None]:
    """What is done within the block is for a single prompt, so there is nothing left to split.

    Raises:
        OutOfMemory: it does not fit.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "the mask of a single prompt does not fit into memory; "
            "use a smaller image, another --device or a machine with more memory"
        ) from error


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
