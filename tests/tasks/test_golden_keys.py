"""Keys that must never change by accident: those of 0.2.0, and those by which 0.1.0 is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from zeropan.choices import Method
from zeropan.models.presets import ROLES, ModelIdentities
from zeropan.models.protocols import ModelIdentity
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import METHOD_NAMES, METHODS
from zeropan.tasks.cache_rule import plan_keys
from zeropan.tasks.cache_rule_0_1 import plan_keys_0_1
from zeropan.tasks.work import ImageRef

MODELS = ModelIdentities(
    detector=ModelIdentity("d", "aa"),
    segmenter=ModelIdentity("s", "bb"),
    text_segmenter=ModelIdentity("t", "cc"),
)
WORDS = Categories.checked(
    [
        Category(name="egg", isthing=True),
        Category(name="cup", isthing=True, prompts=("cup", "a mug"), box_threshold=0.4),
    ],
    [
        Category(name="wood", isthing=False, min_area=0.01),
        Category(name="cloth", isthing=False),
    ],
)

GOLDEN: dict[Method, dict[str, str]] = {
    "default": {
        "embed_image": "ef040cefa28c9aed4cca1f080efd0442",
        "ground_things": "4774c85b7e9202310599e48f97ba9de9",
        "score_stuff": "0e321dedd78134b95a99f6389b48be06",
        "things": "3166d9af50319716f0826313a0b60cef",
        "stuff_regions": "71c171dc9d744e9ac254bc9da1efbdf6",
        "stuff_masks": "0faa88a1ed4f651d846e0f3582097a55",
        "panoptic": "18d4835a8f43c0c543c755ddb9c56ba7",
        "word cloth": "afb50eb20dc8d6af509d451549705505",
        "word wood": "6c989c4f9d652c090c99904c602f5662",
    },
    "reference": {
        "embed_image": "ef040cefa28c9aed4cca1f080efd0442",
        "ground_things": "4774c85b7e9202310599e48f97ba9de9",
        "score_stuff": "0e321dedd78134b95a99f6389b48be06",
        "things": "fb3a12784f8257033f169c1d2744e026",
        "stuff_regions": "c7af6b52037de210a5f36f0b780a512e",
        "stuff_masks": "6411310fae32fea46a2686e944d6ac62",
        "panoptic": "306fe4fbe3e1689f7a74ee8d1b893b80",
        "word cloth": "afb50eb20dc8d6af509d451549705505",
        "word wood": "6c989c4f9d652c090c99904c602f5662",
    },
}
"""Of 0.2.0. A changed digest makes every stored artifact of its stage unreachable: change one only
together with the stage's algorithm version, and say so in the changelog."""

GOLDEN_0_1: dict[Method, dict[str, str]] = {
    "default": {
        "embed_image": "6a347602d86f7cfe637831de63854157",
        "ground_things": "660144d4d663f99094feb67fd39eb0fd",
        "score_stuff": "0d40e66e4225c413f506d1b1328c7483",
        "things": "a10eb42f28f063c89c3ce3dc430f2f0c",
        "stuff_regions": "8231bff343e808a5a8fffb0869cbd63a",
        "stuff_masks": "17526d7ab57b606f82e36049060271c8",
        "panoptic": "1eba98a5378535c919c83e851237a1a2",
    },
    "reference": {
        "embed_image": "6a347602d86f7cfe637831de63854157",
        "ground_things": "660144d4d663f99094feb67fd39eb0fd",
        "score_stuff": "0d40e66e4225c413f506d1b1328c7483",
        "things": "068d69b202b4d16213c48c7ac1931fe1",
        "stuff_regions": "93c04222a1bfb74a45028bba5efd492f",
        "stuff_masks": "e259afed1182d446d5e4b8c173365bbb",
        "panoptic": "8c7d551c2a39547e814b906cbe7fe05f",
    },
}
"""Printed by 0.1.0 itself."""


def planned(method: Method) -> dict[str, str]:
    keys = plan_keys(
        ImageRef(location="", sha256="00" * 32),
        WORDS,
        METHODS[method],
        MODELS,
        dict.fromkeys(ROLES, "fp32"),
    )
    words = {f"word {prompt}": key.digest for prompt, key in keys.words.items()}
    return {stage: key.digest for stage, key in keys.stages.items()} | words


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_whole_plan_has_the_keys_of_this_release(method: Method) -> None:
    assert planned(method) == GOLDEN[method]


@pytest.mark.parametrize("seed", ["1", "2718"])
def test_another_process_with_another_hash_seed_plans_the_same(seed: str) -> None:
    code = "import json; from tests.tasks.test_golden_keys import *; "
    code += "print(json.dumps({method: planned(method) for method in METHOD_NAMES}))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == GOLDEN


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_results_of_0_1_are_found_under_their_keys(method: Method) -> None:
    keys = plan_keys_0_1("00" * 32, WORDS, METHODS[method], MODELS)
    assert {stage: key.digest for stage, key in keys.items()} == GOLDEN_0_1[method]
