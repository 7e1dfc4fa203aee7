"""Nested settings as MLflow parameters: one flat name and one short text for each value."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import BaseModel

from zeropan.tracking.names import MAX_KEY_LENGTH, MAX_PARAMETER_LENGTH, component, cut, shortened


def flattened(params: Mapping[str, object]) -> dict[str, str]:
    """`{"things": ThingsConfig(box_threshold=0.35)}` as `{"things/box_threshold": "0.35"}`.

    Mappings and pydantic models open into their fields. Lists of plain words become one line;
    other lists become JSON. Slashes in keys stay: they are levels already.

    Returns:
        Legal names of at most 250 characters, texts of at most 6000.
    """
    flat: dict[str, str] = {}
    _collect(flat, (), params)
    return flat


def _collect(flat: dict[str, str], path: tuple[str, ...], value: object) -> None:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _collect(flat, (*path, *str(key).split("/")), inner)
        return
    key = "/".join(component(part) for part in path)
    flat[shortened(key, MAX_KEY_LENGTH)] = cut(_text(value), MAX_PARAMETER_LENGTH)


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        if all(isinstance(item, str) and "," not in item for item in items):
            return ", ".join(items) if items else "none"
        return json.dumps(items, ensure_ascii=False, default=_plain)
    return str(value)


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
