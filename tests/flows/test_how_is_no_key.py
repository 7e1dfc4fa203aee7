"""How a run is done never reaches a key: every field of `How`, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.commands import setup_of
from zeropan.flows.job import Job
from zeropan.request.setup import How
from zeropan.tasks.work import ImageRef

IMAGE = ImageRef(location="cup.png", sha256="ab" * 32)
OTHER: dict[str, Any] = {
    "home": "elsewhere",
    "store": "elsewhere/store",
    "output": "elsewhere/output",
    "experiment": "another",
    "name": "a name",
    "device": "cpu",
    "max_pixels": 5,
    "limit": 3,
    "shuffle_seed": 4,
    "retry_failed": True,
    "max_failures": 0,
    "pictures": 0,
    "workers": 7,
    "runner": "dask",
    "task_runs": "batches",
    "shard_size": 2,
    "shards": "pool",
}


def digests(**how: Any) -> dict[str, str]:
    words = {"things": ["cup"], "stuff": ["wood"]}
    work = Job.of(setup_of(words, **how)).work(IMAGE)
    return {**work.digests, **work.word_digests}


def test_the_table_names_every_field() -> None:
    assert set(OTHER) == set(How.model_fields)


@pytest.mark.parametrize("field", OTHER)
def test_a_field_of_how_changes_no_key(field: str, tmp_path: Path) -> None:
    assert getattr(How(), field) != OTHER[field]
    assert digests(**{field: OTHER[field]}) == digests()
