"""One sentence when memory runs out, and no other fault taken for that."""

from __future__ import annotations

import pytest
import torch

from zeropan.errors import OutOfMemory
from zeropan.models.memory import a_prompt_fits, is_out_of_memory


@pytest.mark.parametrize("fault", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_a_prompt_that_does_not_fit_is_one_sentence(fault: Exception) -> None:
    with (
        pytest.raises(OutOfMemory, match="a single prompt does not fit into memory; use a"),
        a_prompt_fits(),
    ):
        raise fault


def test_other_faults_are_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes do not match"), a_prompt_fits():
        raise RuntimeError("shapes do not match")


def test_what_torch_really_raises_on_the_cpu_is_known() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 58, dtype=torch.uint8)
    assert is_out_of_memory(error.value)
    assert not is_out_of_memory(RuntimeError("DataLoader worker is killed"))
