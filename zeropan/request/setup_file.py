"""Setups as YAML files, and what a command line changes in them.

    schema_version: 2
    what:
      words:
        things: [nigiri, {name: cup, prompts: [cup, mug], box_threshold: 0.4}]
        stuff: [wood, cloth]
      preset: tiny
      config:
        things: {box_threshold: 0.3}
    how: {workers: 2}

Any part may be left out. A file without schema_version is one of release 0.1: method, preset,
categories and the four steps side by side. Later beats earlier: the method's values, the preset's,
the file's, the command line's.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from zeropan.errors import BadConfig
from zeropan.request.parameters import validated, with_overrides
from zeropan.request.setup import SCHEMA_VERSION, How, Setup, What
from zeropan.segmentation.config import PipelineConfig

_FIRST = ("method", "preset", "categories", *PipelineConfig.model_fields)
"""The keys of a file of release 0.1."""
_PARTS: Mapping[str, tuple[str, ...]] = {
    "what": tuple(What.model_fields),
    "how": tuple(How.model_fields),
}


def build_setup(
    *,
    file: Path | None = None,
    what: Mapping[str, Any] | None = None,
    how: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Setup:
    """A setup from a file and from what a command line says.

    Args:
        file: a YAML file as described above.
        what: fields of `What` that beat the file's; None leaves the file's. "words" may hold one
            of the two lists alone.
        how: the same for `How`.
        overrides: "stage.parameter=value" texts.

    Raises:
        BadConfig: an unknown key or name, or a value out of range.
        BadCategories: a word twice.
    """
    content = read_setup(file) if file else {}
    asked = dict(content.get("what") or {})
    for name, value in (what or {}).items():
        if name == "words" and isinstance(value, Mapping):
            given = {kind: words for kind, words in value.items() if words is not None}
            asked["words"] = {**(asked.get("words") or {}), **given}
        elif value is not None:
            asked[name] = value
    asked["config"] = with_overrides(asked.get("config") or {}, overrides)
    done = dict(content.get("how") or {})
    done |= {name: value for name, value in (how or {}).items() if value is not None}
    return validated(Setup, {"what": asked, "how": done})


def read_setup(path: Path) -> dict[str, Any]:
    """A file's parts, what and how, as plain values; an older form is brought up to date.

    Raises:
        BadConfig: it is missing, not YAML, of a newer form, or has unknown keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadConfig(f"the configuration file {path} does not exist; check its path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"the configuration file {path} cannot be read ({error})") from error
    return parse_setup(text, str(path))


def parse_setup(text: str, name: str) -> dict[str, Any]:
    """The parts of a YAML text; see `read_setup`.

    Args:
        text: the YAML.
        name: what messages call it.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = str(error).splitlines()[-1].strip()
        raise BadConfig(f"the configuration file {name} is not YAML ({where})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BadConfig(f"the configuration file {name} is not a mapping; write key: value lines")
    version = content.pop("schema_version", 1 if not set(content) & set(_PARTS) else 2)
    if not isinstance(version, int) or version < 1:
        raise BadConfig(f"schema_version {version!r} in {name} is none; write {SCHEMA_VERSION}")
    if version > SCHEMA_VERSION:
        raise BadConfig(
            f"{name} has schema_version {version}, and this zeropan reads up to {SCHEMA_VERSION}; "
            "use the newer zeropan that wrote it"
        )
    if version == 1:
        return upgraded(_known(content, _FIRST, name))
    _known(content, tuple(_PARTS), name)
    for part, keys in _PARTS.items():
        if not isinstance(content.get(part) or {}, dict):
            raise BadConfig(f"{part} in {name} is not a mapping; write key: value lines")
        _known(content.get(part) or {}, keys, name)
    return content


def upgraded(first: Mapping[str, Any]) -> dict[str, Any]:
    """What a file or a deployment of release 0.1 says, in today's form."""
    asked: dict[str, Any] = {}
    config: dict[str, Any] = dict(first.get("config") or {})
    done: dict[str, Any] = {}
    for key, value in first.items():
        if value is None or key == "config":
            continue
        if key == "categories":
            if not isinstance(value, Mapping) or set(value) - {"things", "stuff"}:
                raise BadConfig("categories may hold the two lists things and stuff, and no more")
            asked["words"] = {kind: words or [] for kind, words in value.items()}
        elif key in PipelineConfig.model_fields:
            config[key] = value
        elif key in What.model_fields:
            asked[key] = value
        else:
            done["name" if key == "run_name" else key] = value
    return {"what": asked | {"config": config}, "how": done}


def to_yaml(setup: Setup) -> str:
    """The whole setup, in the form that `--config` reads."""
    return yaml.safe_dump(
        setup.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True
    )


def _known(content: dict[str, Any], keys: Sequence[str], name: str) -> dict[str, Any]:
    for key in content:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1, cutoff=0)[0]
            raise BadConfig(f"unknown key {key!r} in {name}; did you mean {near!r}?")
    return content
