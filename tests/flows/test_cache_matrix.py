"""With one parameter of every step: a change computes that step and those below it, no more.

That this holds for every parameter is a law of keys: tests/tasks/test_every_parameter.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.commands import STUFF, THINGS, how, report_of, segment
from tests.tasks.test_every_parameter import DOWNSTREAM, changed
from zeropan.segmentation.config import PipelineConfig
from zeropan.tasks.work import PERCEPTION, STAGES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


def run(home: Path, scene: Path, config: PipelineConfig) -> dict[str, str]:
    report = segment(
        images=[str(scene)],
        words={"things": THINGS, "stuff": STUFF},
        config=config,
        home=str(home),
    )
    return how(report)


@pytest.fixture(scope="module")
def first(home: Path, scene_file: Path) -> dict[str, str]:
    return run(home, scene_file, PipelineConfig())


def test_the_first_run_computes_everything(first: dict[str, str]) -> None:
    assert first == dict.fromkeys(STAGES, "computed")


@pytest.mark.parametrize(
    "parameter",
    [
        "things.box_threshold", "stuff_regions.background_threshold", "stuff_masks.seed",
        "panoptic.min_stuff_area",
    ],
)  # fmt: skip
def test_a_change_computes_its_step_and_those_below(
    parameter: str, first: dict[str, str], home: Path, scene_file: Path
) -> None:
    ran = run(home, scene_file, changed(parameter))
    computed = {name for name, was in ran.items() if was == "computed"}
    assert computed == DOWNSTREAM[parameter.partition(".")[0]]
    assert computed.isdisjoint(PERCEPTION)


def test_words_in_another_order_and_with_other_names_compute_nothing(
    first: dict[str, str], home: Path, scene_file: Path
) -> None:
    renamed = {"name": "ちゃわん", "prompts": ["bowl"]}
    words = {
        "things": [renamed, *(word for word in reversed(THINGS) if word != "bowl")],
        "stuff": list(reversed(STUFF)),
    }
    assert how(segment([scene_file], words, home=str(home))) == dict.fromkeys(STAGES, "cached")


def test_one_more_stuff_word_asks_the_text_segmenter_for_that_word_alone(
    first: dict[str, str], home: Path, scene_file: Path
) -> None:
    stored = len(list((home / "store" / "score_stuff").glob("*.json")))
    assert stored == len(STUFF)
    report = segment([scene_file], {"things": THINGS, "stuff": [*STUFF, "paper"]}, home=str(home))
    (scored,) = [one for one in report["images"][0]["stages"] if one["stage"] == "score_stuff"]
    assert (scored["how"], scored["computed"]) == ("computed", 1)
    assert how(report)["things"] == "cached"
    assert len(list((home / "store" / "score_stuff").glob("*.json"))) == stored + 1


def test_no_change_recomputes_nothing(first: dict[str, str], home: Path, scene_file: Path) -> None:
    assert run(home, scene_file, PipelineConfig()) == dict.fromkeys(STAGES, "cached")


def test_a_copy_of_the_image_elsewhere_recomputes_nothing(
    first: dict[str, str], home: Path, scene_file: Path, tmp_path: Path
) -> None:
    copy = shutil.copy(scene_file, tmp_path / "another name.png")
    assert run(home, Path(copy), PipelineConfig()) == dict.fromkeys(STAGES, "cached")


def test_a_new_process_with_an_empty_prefect_database_recomputes_nothing(
    first: dict[str, str], home: Path, scene_file: Path, tmp_path: Path, zeropan: Any
) -> None:
    finished = zeropan(
        "run", scene_file, "--things", ",".join(THINGS), "--stuff", ",".join(STUFF),
        "--home", home, "--json",
        env={"PREFECT_HOME": str(tmp_path / "prefect")},
    )  # fmt: skip
    assert how(report_of(finished)) == dict.fromkeys(STAGES, "cached")
