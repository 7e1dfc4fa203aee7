"""The parameters of the four steps as people write them: "things.box_threshold=0.25"."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from zeropan.errors import BadConfig, ZeropanError
from zeropan.segmentation.config import PipelineConfig

M = TypeVar("M", bound=BaseModel)


def parse_override(text: str) -> tuple[str, str, Any]:
    """Split a setting such as things.box_threshold=0.25; its value is read as YAML.

    Raises:
        BadConfig: it has another form, or names no parameter.
    """
    path, equals, value = text.partition("=")
    stage, dot, field = path.strip().partition(".")
    if not equals or not dot:
        raise BadConfig(f"{text!r} is not a setting; write stage.parameter=value")
    if stage not in PipelineConfig.model_fields:
        raise BadConfig(f"unknown parameter {path.strip()!r}; did you mean {_nearest(path)!r}?")
    try:
        return stage, known_field(stage, field), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BadConfig(f"the value of {path.strip()!r} cannot be read: {value!r}") from error


def with_overrides(config: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Parameters by step, with some of them set anew.

    Args:
        config: step → parameter → value; steps and parameters may be absent.
        overrides: "stage.parameter=value" texts.

    Raises:
        BadConfig: an override is none.
    """
    values = {stage: dict(part) for stage, part in config.items()}
    for override in overrides:
        stage, field, value = parse_override(override)
        values.setdefault(stage, {})[field] = value
    return values


def all_parameters() -> list[str]:
    """Every "stage.parameter" there is."""
    return [
        f"{stage}.{field}"
        for stage, info in PipelineConfig.model_fields.items()
        for field in getattr(info.annotation, "model_fields", {})
    ]


def known_field(stage: str, field: str) -> str:
    """The field's name, made sure to be one of the stage's.

    Raises:
        BadConfig: it is none.
    """
    path = f"{stage}.{field}"
    if path not in all_parameters():
        raise BadConfig(f"unknown parameter {path!r}; did you mean {_nearest(path)!r}?")
    return field


def validated(model: type[M], values: Any) -> M:
    """A model from plain values; what is wrong with them becomes one sentence.

    Raises:
        BadConfig: a value is out of its range or of another type, or a key is unknown.
        ZeropanError: a check of our own said what is wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first.get("ctx", {}).get("error")
        if isinstance(said, ZeropanError):
            raise said from error
        parts = [str(part) for part in first["loc"] if part not in ("what", "how", "config")]
        path = ".".join(parts) or model.__name__
        raise BadConfig(
            f"{path}={first['input']!r} is not possible: {first['msg'].lower()}"
        ) from error


def differences(before: PipelineConfig, after: PipelineConfig) -> dict[str, tuple[object, object]]:
    """The parameters that differ: "stage.field" to the old and the new value."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {
        f"{stage}.{field}": (value, new[stage][field])
        for stage, values in old.items()
        for field, value in values.items()
        if value != new[stage][field]
    }


def _nearest(path: str) -> str:
    known = all_parameters()
    field = path.rpartition(".")[2]
    same_name = difflib.get_close_matches(
        field, [name.partition(".")[2] for name in known], n=1, cutoff=0.8
    )
    if same_name and "." not in path:
        return next(name for name in known if name.endswith(f".{same_name[0]}"))
    return difflib.get_close_matches(path, known, n=1, cutoff=0)[0]
