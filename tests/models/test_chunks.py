"""Prompts in parts that shrink when memory runs out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zeropan.errors import OutOfMemory
from zeropan.models.chunks import in_chunks, is_out_of_memory


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 20))
def test_every_prompt_is_answered_once_whatever_fits(count: int, at_once: int, fits: int) -> None:
    tried: list[int] = []

    def decode(part: slice) -> list[int]:
        tried.append(part.stop - part.start)
        if tried[-1] > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(range(part.start, part.stop))

    answers = [i for _, answer in in_chunks(count, at_once, decode) for i in answer]
    assert answers == list(range(count))
    assert max(tried, default=0) <= at_once
    assert sum(size > fits for size in tried) <= 5


def test_a_prompt_that_never_fits_is_one_sentence() -> None:
    def decode(part: slice) -> None:
        raise MemoryError

    with pytest.raises(OutOfMemory, match="a single prompt does not fit into memory; use a"):
        list(in_chunks(4, 4, decode))


def test_other_faults_are_not_taken_for_a_lack_of_memory() -> None:
    calls = []

    def decode(part: slice) -> None:
        calls.append(part)
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(in_chunks(4, 4, decode))
    assert len(calls) == 1


def test_what_torch_really_raises_on_the_cpu_is_known() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 58, dtype=torch.uint8)
    assert is_out_of_memory(error.value)
    assert not is_out_of_memory(RuntimeError("DataLoader worker is killed"))
