"""From what a user says (words, a YAML file, --set) to categories and parameters.

A configuration file may hold any part of this:

    method: default
    preset: tiny
    categories:
      things: [nigiri, {name: cup, prompts: [cup, mug], box_threshold: 0.4}]
      stuff: [wood, cloth]
    things: {box_threshold: 0.3}
    stuff_regions: {background_threshold: 0.2}

Later beats earlier: the method's values, the preset's, the file's, --set.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from zeropan.choices import Method
from zeropan.errors import BadCategories, BadConfig
from zeropan.models.presets import find_preset
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import METHOD_NAMES, PipelineConfig

FILE_KEYS = ("method", "preset", "categories", *PipelineConfig.model_fields)


@dataclass(frozen=True)
class Request:
    """What to look for, with which models and parameters."""

    categories: Categories
    config: PipelineConfig
    preset: str
    method: Method

    def to_yaml(self) -> str:
        """The whole configuration, in the form that `--config` reads."""
        return yaml.safe_dump(
            {
                "method": self.method,
                "preset": self.preset,
                "categories": self.categories.model_dump(mode="json", exclude_none=True),
                **self.config.model_dump(mode="json"),
            },
            sort_keys=False,
            allow_unicode=True,
        )


def build_request(
    *,
    things: Sequence[str] | None = None,
    stuff: Sequence[str] | None = None,
    categories: Categories | None = None,
    config_file: Path | None = None,
    preset: str | None = None,
    method: str | None = None,
    overrides: Sequence[str] = (),
    need_weights: bool = True,
) -> Request:
    """Put a request together and check all of it.

    Args:
        things: words; None leaves the file's.
        stuff: words; None leaves the file's.
        categories: used instead of any words, such as a data set's own.
        config_file: a YAML file as described above.
        preset: name of the models' preset; None leaves the file's, else "tiny".
        method: "default" or "reference"; None leaves the file's, else "default".
        overrides: "stage.field=value" strings.
        need_weights: refuse a preset whose files are absent.

    Raises:
        BadConfig: an unknown key or name, or a value out of range.
        BadCategories: a word twice, or no word at all.
        WeightsMissing: the preset's files are absent.
    """
    file = read_config_file(config_file) if config_file else {}
    chosen = find_preset(str(preset or file.get("preset") or "tiny"), need_weights=need_weights)
    name = str(method or file.get("method") or "default")
    if name not in METHOD_NAMES:
        raise BadConfig(f"method {name!r} is not known; use one of {', '.join(METHOD_NAMES)}")
    known: Method = "reference" if name == "reference" else "default"
    values = chosen.config_for(known).model_dump()
    for stage in PipelineConfig.model_fields:
        part = file.get(stage)
        if part is None:
            continue
        if not isinstance(part, dict):
            raise BadConfig(f"{stage} in {config_file} is not a mapping; write field: value lines")
        for field, value in part.items():
            values[stage][_known_field(stage, str(field))] = value
    for override in overrides:
        stage, field, value = parse_override(override)
        values[stage][field] = value
    return Request(
        categories=categories or _categories(file.get("categories") or {}, things, stuff),
        config=validated(values),
        preset=chosen.name,
        method=known,
    )


def split_words(text: str | None) -> list[str] | None:
    """Comma-separated words to a list; None stays None."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


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
        return stage, _known_field(stage, field), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BadConfig(f"the value of {path.strip()!r} cannot be read: {value!r}") from error


def all_parameters() -> list[str]:
    """Every "stage.parameter" there is."""
    return [
        f"{stage}.{field}"
        for stage, info in PipelineConfig.model_fields.items()
        for field in getattr(info.annotation, "model_fields", {})
    ]


def validated(values: Mapping[str, Any]) -> PipelineConfig:
    """Parameters from plain values.

    Raises:
        BadConfig: a value is out of its range or of another type.
    """
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise BadConfig(
            f"{path}={first['input']!r} is not possible: {first['msg'].lower()}"
        ) from error


def read_config_file(path: Path) -> dict[str, Any]:
    """A configuration file as plain values.

    Raises:
        BadConfig: it is missing, not YAML, or has unknown keys.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadConfig(f"the configuration file {path} does not exist; check its path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"the configuration file {path} cannot be read ({error})") from error
    except yaml.YAMLError as error:
        where = str(error).splitlines()[-1].strip()
        raise BadConfig(f"the configuration file {path} is not YAML ({where})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BadConfig(f"the configuration file {path} is not a mapping; write key: value lines")
    for key in content:
        if key not in FILE_KEYS:
            near = difflib.get_close_matches(str(key), FILE_KEYS, n=1, cutoff=0)[0]
            raise BadConfig(f"unknown key {key!r} in {path}; did you mean {near!r}?")
    return content


def _known_field(stage: str, field: str) -> str:
    path = f"{stage}.{field}"
    if path not in all_parameters():
        raise BadConfig(f"unknown parameter {path!r}; did you mean {_nearest(path)!r}?")
    return field


def _nearest(path: str) -> str:
    known = all_parameters()
    field = path.rpartition(".")[2]
    same_name = difflib.get_close_matches(
        field, [name.partition(".")[2] for name in known], n=1, cutoff=0.8
    )
    if same_name and "." not in path:
        return next(name for name in known if name.endswith(f".{same_name[0]}"))
    return difflib.get_close_matches(path, known, n=1, cutoff=0)[0]


def _categories(file: Any, things: Sequence[str] | None, stuff: Sequence[str] | None) -> Categories:
    if not isinstance(file, dict) or set(file) - {"things", "stuff"}:
        raise BadConfig("categories may hold the two lists things and stuff, and nothing else")
    categories = Categories.checked(
        _category_list(things if things is not None else file.get("things") or [], isthing=True),
        _category_list(stuff if stuff is not None else file.get("stuff") or [], isthing=False),
    )
    if not categories.ordered:
        raise BadCategories("no words were given; name at least one with --things or --stuff")
    return categories


def _category_list(items: Any, *, isthing: bool) -> list[Category]:
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise BadCategories(f"{items!r} is not a list of words; write [word, word]")
    found = []
    for item in items:
        if isinstance(item, str) and not item.strip():
            continue
        values = dict(item) if isinstance(item, Mapping) else {"name": " ".join(str(item).split())}
        values["isthing"] = isthing
        try:
            found.append(Category.model_validate(values))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise BadCategories(
                f"category {values.get('name')!r} is not usable: {field}: {first['msg'].lower()}"
            ) from error
    return found
