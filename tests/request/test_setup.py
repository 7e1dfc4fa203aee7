"""Setups: from words, files of today's and of release 0.1's form, and what beats what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from zeropan.errors import BadCategories, BadConfig
from zeropan.reports.run import RunReport
from zeropan.request.parameters import all_parameters, parse_override, validated
from zeropan.request.setup import How, Setup, What
from zeropan.request.setup_file import build_setup, read_setup, to_yaml, upgraded
from zeropan.segmentation.config import METHODS, PipelineConfig

SCHEMAS = Path("docs/schemas")


def test_words_and_settings_beat_the_file_which_beats_the_method(tmp_path: Path) -> None:
    file = tmp_path / "setup.yaml"
    file.write_text(
        "schema_version: 2\n"
        "what:\n"
        "  method: reference\n"
        "  words: {things: [nigiri, {name: cup, prompts: [cup, mug], box_threshold: 0.4}],"
        " stuff: [wood]}\n"
        "  config: {things: {box_threshold: 0.2, nms_iou: 0.5}}\n"
        "how: {workers: 2, pictures: 3}\n"
    )
    setup = build_setup(
        file=file,
        what={"words": {"things": None, "stuff": ["marble"]}},
        how={"workers": 4, "limit": None},
        overrides=["things.box_threshold=0.6"],
    )
    assert setup.what.config.things.box_threshold == 0.6
    assert setup.what.config.things.nms_iou == 0.5
    assert setup.what.config.panoptic == METHODS["reference"].panoptic
    assert setup.what.categories.thing_prompts == ("nigiri", "cup", "mug")
    assert setup.what.categories.stuff_prompts == ("marble",)
    assert (setup.how.workers, setup.how.pictures, setup.how.limit) == (4, 3, None)


def test_a_written_setup_reads_back_the_same(tmp_path: Path) -> None:
    setup = build_setup(
        what={"words": {"things": [{"name": "杯", "prompts": ["cup"]}], "stuff": ["wood"]}},
        how={"home": "there", "workers": 3},
        overrides=["panoptic.fill=region"],
    )
    file = tmp_path / "setup.yaml"
    file.write_text(to_yaml(setup), encoding="utf-8")
    assert build_setup(file=file) == setup


def test_a_file_of_release_0_1_is_still_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "method: default\npreset: tiny\ncategories: {things: [cup], stuff: [wood]}\n"
        "things: {box_threshold: 0.2}\n"
    )
    setup = build_setup(file=file)
    assert setup.what.categories.thing_prompts == ("cup",)
    assert setup.what.config.things.box_threshold == 0.2


def test_the_parameters_of_a_deployment_of_release_0_1_become_a_setup() -> None:
    old = {
        "categories": {"things": ["cup"], "stuff": ["wood"]}, "preset": "tiny", "run_name": "night",
        "config": {"things": {"box_threshold": 0.25}}, "workers": 2, "home": None,
    }  # fmt: skip
    setup = validated(Setup, upgraded(old))
    assert setup.what.config.things.box_threshold == 0.25
    assert (setup.how.name, setup.how.workers, setup.how.home) == ("night", 2, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("schema_version: 3\nwhat: {}", "has schema_version 3, and this zeropan reads up to 2"),
        ("schema_version: two", "schema_version 'two'"),
        ("what: {wrods: {}}", "unknown key 'wrods' in .*; did you mean 'words'?"),
        ("how: {worker: 2}", "did you mean 'workers'?"),
        ("what: [cup]", "what in .* is not a mapping"),
        ("thing: {}", "unknown key 'thing' in .*; did you mean 'things'?"),
        ("- cup", "is not a mapping"),
        ("what: {", "is not YAML"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "setup.yaml"
    file.write_text(text)
    with pytest.raises(BadConfig, match=sentence):
        read_setup(file)


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ({"what": {"method": "best"}}, BadConfig, "method 'best' is not known"),
        ({"what": {"preset": "tinny"}}, BadConfig, "'tiny'"),
        ({"what": {"config": {"thing": {}}}}, BadConfig, "unknown step 'thing'"),
        ({"what": {"config": {"things": 3}}}, BadConfig, "things=3 is not a mapping"),
        ({"what": {"words": {"things": "cup"}}}, BadCategories, "'cup' is not a list"),
        ({"what": {"words": {"things": ["a", "A"]}}}, BadCategories, "named twice"),
        ({"how": {"workers": 0}}, BadConfig, "workers=0 is not possible"),
        ({"how": {"wrokers": 1}}, BadConfig, "wrokers=1 is not possible"),
    ],
)
def test_values_that_are_not_possible(values: Any, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        validated(Setup, values)


def test_every_field_has_a_description() -> None:
    def check(model: type[BaseModel]) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                check(kind)

    check(Setup)


def test_the_two_parts_share_no_field() -> None:
    assert not set(What.model_fields) & set(How.model_fields)


def test_overrides() -> None:
    assert parse_override("things.box_threshold=0.25") == ("things", "box_threshold", 0.25)
    assert parse_override("stuff_masks.sampling = score") == ("stuff_masks", "sampling", "score")
    for bad, hint in (
        ("things.box_treshold=1", "things.box_threshold"),
        ("box_threshold=1", "stage.parameter=value"),
        ("thing.box_threshold=1", "things.box_threshold"),
    ):
        with pytest.raises(BadConfig, match=hint):
            parse_override(bad)
    assert "panoptic.overlap" in all_parameters()
    with pytest.raises(BadConfig, match=r"things.box_threshold=2.*less than"):
        validated(PipelineConfig, {"things": {"box_threshold": 2}})


def test_the_published_schema_is_that_of_the_code() -> None:
    for model, name in ((Setup, "setup"), (RunReport, "report")):
        written = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
        assert written == model.model_json_schema()
