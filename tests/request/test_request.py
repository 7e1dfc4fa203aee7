from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from zeropan.request.request import all_parameters, build_request, parse_override, read_config_file

from zeropan.errors import BadCategories, BadConfig
from zeropan.segmentation.config import METHODS, PipelineConfig


def test_set_beats_file_beats_method(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("things: {box_threshold: 0.2, max_boxes: 7}\nmethod: reference\n")
    request = build_request(
        things=["cup"], config_file=file, overrides=["things.box_threshold=0.6"]
    )
    assert request.config.things.box_threshold == 0.6
    assert request.config.things.max_boxes == 7
    assert request.config.panoptic == METHODS["reference"].panoptic


def test_words_on_the_command_line_replace_the_files(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("categories: {things: [cup, {name: egg, prompts: [egg, fried egg]}]}\n")
    from_file = build_request(config_file=file)
    assert from_file.categories.thing_prompts == ("cup", "egg", "fried egg")
    assert build_request(config_file=file, things=["bowl"]).categories.thing_prompts == ("bowl",)


def test_the_written_configuration_reads_back_the_same(tmp_path: Path) -> None:
    request = build_request(
        things=["茶碗", "red cup"], stuff=["wood"], overrides=["panoptic.fill=none"]
    )
    file = tmp_path / "config.yaml"
    file.write_text(request.to_yaml(), encoding="utf-8")
    assert build_request(config_file=file) == request
    assert yaml.safe_load(request.to_yaml())["panoptic"]["fill"] == "none"


@pytest.mark.parametrize(
    "text, nearest",
    [
        ("things.box_treshold=1", "things.box_threshold"),
        ("panoptic.min_area=3", "panoptic.min_"),
        ("stuff_mask.seed=3", "stuff_masks.seed"),
    ],
)
def test_an_unknown_parameter_names_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(BadConfig, match=nearest):
        parse_override(text)


@pytest.mark.parametrize("text", ["things.box_threshold", "box_threshold=1", "=", "", "a.b"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(BadConfig):
        parse_override(text)


def test_every_parameter_says_its_range_and_unit() -> None:
    for path in all_parameters():
        stage, _, field = path.partition(".")
        model = PipelineConfig.model_fields[stage].annotation
        assert model is not None
        assert len(model.model_fields[field].description or "") > 20, path


def test_no_word_at_all_is_refused() -> None:
    with pytest.raises(BadCategories, match="no words"):
        build_request(things=[" "], stuff=[])


def test_a_list_is_not_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text("- things\n")
    with pytest.raises(BadConfig, match="not a mapping"):
        read_config_file(file)
