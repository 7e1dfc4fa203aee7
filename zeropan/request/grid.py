"""A grid of parameter values, and the configurations at its points."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from zeropan.errors import BadConfig
from zeropan.request.parameters import parse_override, validated
from zeropan.segmentation.config import PipelineConfig

MOST_POINTS = 1000


@dataclass(frozen=True)
class Point:
    """One combination of values."""

    values: Mapping[str, Any]
    """The value of each "stage.parameter" of the grid."""
    config: PipelineConfig

    @property
    def name(self) -> str:
        """What its run is called: "box_threshold 0.2 · min_thing_area 0"."""
        return " · ".join(f"{p.rpartition('.')[2]} {value}" for p, value in self.values.items())

    @property
    def digest(self) -> str:
        """Hex digest of the whole configuration."""
        return hashlib.sha256(self.config.model_dump_json().encode()).hexdigest()[:16]


def parse_grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Axes from texts such as "things.box_threshold=0.2,0.3,0.4".

    Raises:
        BadConfig: another form, an unknown parameter, an axis without values or given twice.
    """
    axes: dict[str, list[Any]] = {}
    for text in texts:
        stage, field, _ = parse_override(text)
        path = f"{stage}.{field}"
        listed = text.partition("=")[2].strip().removeprefix("[").removesuffix("]")
        values = [yaml.safe_load(part) for part in listed.split(",") if part.strip()]
        if not values:
            raise BadConfig(f"{text!r} names no value; write {path}=value,value")
        if path in axes:
            raise BadConfig(f"{path} is given twice; put all its values into one --grid")
        axes[path] = list(dict.fromkeys(values))
    if not axes:
        raise BadConfig("the grid is empty; give --grid stage.parameter=value,value")
    return axes


def points(base: PipelineConfig, axes: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Every combination, the last axis changing fastest.

    Raises:
        BadConfig: a value is out of range, or there are more points than `MOST_POINTS`.
    """
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST_POINTS:
        raise BadConfig(f"the grid has {count} points, more than {MOST_POINTS}; leave values out")
    found = []
    for combination in itertools.product(*axes.values()):
        content = base.model_dump()
        for path, value in zip(axes, combination, strict=True):
            stage, _, field = path.partition(".")
            content[stage][field] = value
        found.append(
            Point(dict(zip(axes, combination, strict=True)), validated(PipelineConfig, content))
        )
    return found


def digest_of(points: Sequence[Point], material: Mapping[str, Any]) -> str:
    """What tells one sweep from another: its points, and images, words and models."""
    content = {"points": [point.digest for point in points], **material}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
