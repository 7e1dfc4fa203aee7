from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.common import (
    Clock,
    DataOrder,
    Ema,
    cosine_with_warmup,
    load_checkpoint,
    restore_rng_state,
    rng_state,
    save_checkpoint,
    scale_learning_rates,
)
from training.curve import Curve


@given(st.floats(-1, 2), st.floats(0.001, 0.5), st.floats(0, 0.5))
def test_the_rate_factor_stays_between_zero_and_one(
    progress: float, warmup: float, floor: float
) -> None:
    assert 0 < cosine_with_warmup(progress, warmup=warmup, floor=floor) + 1e-12 <= 1 + 1e-9


def test_the_rate_rises_in_the_warmup_and_falls_after_it() -> None:
    factors = [cosine_with_warmup(p, warmup=0.2, floor=0.1) for p in np.linspace(0, 1, 101)]
    peak = int(np.argmax(factors))
    assert peak == 20
    assert factors[:21] == sorted(factors[:21])
    assert factors[20:] == sorted(factors[20:], reverse=True)
    assert factors[20] == pytest.approx(1.0)
    assert factors[-1] == pytest.approx(0.1)


def test_scaling_a_rate_twice_starts_from_the_first_rate_each_time() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    scale_learning_rates((optimizer,), 0.5)
    scale_learning_rates((optimizer,), 0.25)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_an_average_of_constant_weights_is_those_weights() -> None:
    module = nn.Linear(2, 2)
    ema = Ema(module, decay=0.9)
    for _ in range(5):
        ema.update(module)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(ema.shadow[name], value)


def test_an_average_follows_the_weights_and_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    ema = Ema(module, decay=0.5)
    nn.init.ones_(module.weight)
    ema.update(module)
    # (1 + 1) / (10 + 1) is below 0.5, so the young average moves by 9/11.
    assert ema.shadow["weight"].item() == pytest.approx(9 / 11)
    save_checkpoint(tmp_path / "c.pt", {"ema": ema.state_dict()})
    again = Ema(nn.Linear(1, 1, bias=False))
    again.load_state_dict((load_checkpoint(tmp_path / "c.pt") or {})["ema"])
    target = nn.Linear(1, 1, bias=False)
    again.copy_to(target)
    assert target.weight.item() == pytest.approx(9 / 11)
    assert again.updates == 1


@given(st.integers(1, 40), st.integers(0, 5), st.integers(1, 9))
def test_every_epoch_shows_every_example_once(count: int, seed: int, size: int) -> None:
    order = DataOrder(count, seed=seed)
    stream = np.concatenate([order.take(size) for _ in range(-(-2 * count // size))])
    assert sorted(stream[:count]) == list(range(count))
    assert sorted(stream[count : 2 * count]) == list(range(count))


@given(st.integers(1, 40), st.integers(0, 60), st.integers(0, 60))
def test_a_resumed_order_goes_on_where_it_stopped(count: int, before: int, after: int) -> None:
    whole = DataOrder(count, seed=7)
    expected = whole.take(before + after + 1)[before:]
    first = DataOrder(count, seed=7)
    if before:
        first.take(before)
    second = DataOrder(1, seed=0)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    np.testing.assert_array_equal(second.take(after + 1), expected)


def test_growing_data_joins_with_the_next_epoch() -> None:
    order = DataOrder(4, seed=1)
    order.take(1)
    order.grow(6)
    assert sorted(order.take(3)) != [4, 5]
    assert sorted(order.take(6)) == list(range(6))


def test_an_order_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        DataOrder(0, seed=0)


def test_generators_draw_the_same_after_a_restore(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float]:
        return torch.rand(()).item(), float(np.random.rand()), random.random()

    save_checkpoint(tmp_path / "rng.pt", {"rng": rng_state()})
    first = draw()
    draw()
    restore_rng_state((load_checkpoint(tmp_path / "rng.pt") or {})["rng"])
    assert draw() == first


def test_a_failed_save_leaves_the_old_checkpoint_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"step": 1})
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        save_checkpoint(path, {"step": lambda: 2})
    assert load_checkpoint(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["c.pt"]


def test_there_is_no_checkpoint_before_the_first(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none.pt") is None


def test_time_before_a_resume_counts() -> None:
    clock = Clock(minutes=10)
    assert clock.progress < 0.01
    clock.load_state_dict({"elapsed_s": 300.0})
    assert 0.5 <= clock.progress < 0.51


def test_a_curve_is_one_json_line_a_measurement(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "deep" / "curve.jsonl")
    curve.add(1, loss=torch.tensor(0.5))
    curve.add(2, loss=0.25, iou=0.1)
    curve.close()
    lines = [json.loads(line) for line in curve.path.read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25, "iou": 0.1}]
