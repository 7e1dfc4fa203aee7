"""Keys are pinned: what is stored today is found by every later release, on every machine.

If a digest here has to change, a stage gives another result for the same inputs: raise its
ALGORITHM_VERSION, write the new digests down, and say so in the CHANGELOG.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.tasks.test_plan_keys import keys_of

PINNED = {
    "embed_image": "ef040cefa28c9aed4cca1f080efd0442",
    "ground_things": "05e7b614844ae4a8a9b9283e7bcde19e",
    "score_stuff": "0e321dedd78134b95a99f6389b48be06",
    "things": "f32390b3bb890e57afdb255a644c3392",
    "stuff_regions": "7490803edf97d11df42ec70318237b5c",
    "stuff_masks": "fda8b4f7a33f176b705135602f882194",
    "panoptic": "f6a05a53db1076a69d373e8094904586",
    "score_stuff cloth": "afb50eb20dc8d6af509d451549705505",
    "score_stuff wood": "6c989c4f9d652c090c99904c602f5662",
}


def plan() -> dict[str, str]:
    """Every digest of one plan, by stage and by word."""
    keys = keys_of()
    return {stage: key.digest for stage, key in keys.stages.items()} | {
        f"score_stuff {word}": key.digest for word, key in keys.words.items()
    }


def test_the_keys_of_a_plan_are_those_that_were_written_down() -> None:
    assert plan() == PINNED


def test_another_process_makes_the_same_keys() -> None:
    code = "import json; from tests.tasks.test_pinned_keys import plan; print(json.dumps(plan()))"
    for seed in ("1", "2"):
        said = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(said.stdout) == PINNED
