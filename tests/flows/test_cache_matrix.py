"""For every parameter of every step: a change recomputes that step and those below it, no more."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.commands import STUFF, THINGS, how, report_of, segment
from zeropan.segmentation.config import PipelineConfig
from zeropan.tasks.work import PERCEPTION, STAGES, STEPS

DOWNSTREAM = {
    "things": {"things", "stuff_regions", "stuff_masks", "panoptic"},
    "stuff_regions": {"stuff_regions", "stuff_masks", "panoptic"},
    "stuff_masks": {"stuff_masks", "panoptic"},
    "panoptic": {"panoptic"},
}
# One value for each parameter, or two where the default may be either.
CHANGED: dict[str, Any] = {
    "things.box_threshold": 0.31,
    "things.text_threshold": 0.11,
    "things.token_score": "max",
    "things.nms_iou": 0.61,
    "things.max_boxes": 50,
    "things.mask_threshold": 0.5,
    "stuff_regions.background_threshold": 0.23,
    "stuff_regions.thing_margin_px": 1,
    "stuff_masks.prompt_by": ("region", "part"),
    "stuff_masks.points_per_region": 5,
    "stuff_masks.negative_points": 2,
    "stuff_masks.majority": (True, False),
    "stuff_masks.min_agreement": 0.4,
    "stuff_masks.sampling": "score",
    "stuff_masks.erosion": 0.01,
    "stuff_masks.erosion_px": 3,
    "stuff_masks.min_region_area": 0.004,
    "stuff_masks.multimask": "best",
    "stuff_masks.mask_threshold": 0.5,
    "stuff_masks.seed": 1,
    "panoptic.overlap": "paint",
    "panoptic.min_thing_area": 0.001,
    "panoptic.min_stuff_area": 0.01,
    "panoptic.max_hole_area": 0.001,
    "panoptic.max_crumb_area": 0.001,
    "panoptic.min_visible_share": 0.5,
    "panoptic.fill": ("none", "region"),
}


def every_parameter() -> list[str]:
    found = []
    for stage in STEPS:
        model = PipelineConfig.model_fields[stage].annotation
        assert isinstance(model, type) and issubclass(model, BaseModel)
        found += [f"{stage}.{field}" for field in model.model_fields]
    return found


def other_value(parameter: str, usual: Any) -> Any:
    given = CHANGED[parameter]
    options = given if isinstance(given, tuple) else (given,)
    return next(value for value in options if value != usual)


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


def test_the_table_of_changes_covers_every_parameter() -> None:
    assert set(CHANGED) == set(every_parameter())


@pytest.mark.parametrize("parameter", every_parameter())
def test_a_change_reaches_its_step_and_those_below(
    parameter: str, first: dict[str, str], home: Path, scene_file: Path
) -> None:
    stage, _, field = parameter.partition(".")
    config = PipelineConfig()
    value = other_value(parameter, getattr(getattr(config, stage), field))
    part = getattr(config, stage).model_copy(update={field: value})
    changed = run(home, scene_file, config.model_copy(update={stage: part}))
    computed = {name for name, was in changed.items() if was == "computed"}
    assert computed == DOWNSTREAM[stage]
    assert computed.isdisjoint(PERCEPTION)


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
