"""Setup: everything that a run is told, in two parts.

*What* is asked reaches the keys of results, and nothing else does; *how* it is done never reaches
one. The same model is the Prefect form, the YAML file of `--config`, what prefect.yaml holds and
what a run records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zeropan.choices import Method, PrecisionChoice, Runner, ShardPlace, TaskRuns
from zeropan.errors import BadConfig
from zeropan.models.presets import parse_preset
from zeropan.request.parameters import known_field
from zeropan.request.words import Words
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import METHOD_NAMES, PipelineConfig
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS

SCHEMA_VERSION = 2
"""Of setups. Version 1 is the configuration file of release 0.1, which is still read."""


class What(BaseModel):
    """What is asked: the words, the models, and the parameters of the four steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: Words = Field(default_factory=Words, description="What to look for.")
    preset: str = Field(
        default="tiny",
        description="Name of the models' preset: tiny, base, reference or large; models may stand "
        "in for its own, such as base+sam_vit_l.",
    )
    method: Method = Field(
        default="default",
        description="Whose parameters hold where none are given: zeropan's own (default), or those "
        "of the proof of concept (reference).",
    )
    precision: PrecisionChoice = Field(
        default="auto",
        description="Arithmetic of the backbones: fp32, bf16, or auto (bf16 where the device is "
        "fast at it). bf16 gives results of their own keys.",
    )
    config: PipelineConfig = Field(
        default_factory=PipelineConfig,
        description="The parameters of the four steps; what is left out is the method's.",
    )

    @model_validator(mode="before")
    @classmethod
    def _method_beneath(cls, values: Any) -> Any:
        """Lay the given parameters over those of the method with the preset."""
        if not isinstance(values, Mapping) or isinstance(values.get("config"), PipelineConfig):
            return values
        method = values.get("method", "default")
        if method not in METHOD_NAMES:
            raise BadConfig(f"method {method!r} is not known; use one of {', '.join(METHOD_NAMES)}")
        base = parse_preset(str(values.get("preset", "tiny"))).config_for(method).model_dump()
        given = values.get("config") or {}
        if not isinstance(given, Mapping):
            raise BadConfig(f"config={given!r} is not a mapping; write stage: {{parameter: value}}")
        for stage, part in given.items():
            if stage not in base:
                raise BadConfig(f"unknown step {stage!r} in config; use one of {', '.join(base)}")
            if not isinstance(part, Mapping):
                raise BadConfig(f"{stage}={part!r} is not a mapping; write parameter: value")
            for field, value in part.items():
                base[stage][known_field(str(stage), str(field))] = value
        return {**values, "config": base}

    @property
    def categories(self) -> Categories:
        """The checked words."""
        return self.words.categories


class How(BaseModel):
    """How it is done: places, device, limits, and who does the work; no result depends on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: str | None = Field(
        default=None,
        description="Folder of everything that is kept; left out: ZEROPAN_HOME, else "
        "./zeropan-data.",
    )
    store: str | None = Field(
        default=None,
        description="Folder or fsspec URL of the artifacts; left out: ZEROPAN_STORE, else below "
        "the home.",
    )
    output: str | None = Field(
        default=None, description="Folder of overlays and panoptic files; left out: below the home."
    )
    experiment: str | None = Field(
        default=None,
        description="Name of the MLflow experiment; left out: MLFLOW_EXPERIMENT_NAME, else "
        "zeropan.",
    )
    name: str | None = Field(
        default=None, description="Name of the MLflow run; left out: made from what is run."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or mps.")
    max_pixels: int = Field(
        default=DEFAULT_MAX_PIXELS,
        ge=1,
        description="Images with more pixels are refused before they are decoded; count.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Only the first so many images, after shuffling; count."
    )
    shuffle_seed: int | None = Field(
        default=None,
        description="Seed of a random order, so that several runs over one folder share the work.",
    )
    retry_failed: bool = Field(
        default=False, description="Only images that failed before with the same request."
    )
    max_failures: int = Field(
        default=100, ge=0, description="More failed images than this end the run; count."
    )
    pictures: int = Field(
        default=8,
        ge=0,
        description="Of so many first images the steps are drawn, for MLflow and as overlay files; "
        "count.",
    )
    workers: int = Field(
        default=1, ge=1, le=1024, description="Batches of images at a time; count."
    )
    runner: Runner = Field(
        default="auto",
        description="Who runs the batches: threads, processes, dask, or auto (threads for one "
        "worker, else processes).",
    )
    task_runs: TaskRuns = Field(
        default="stages",
        description="What Prefect keeps a task run of: stages (seven an image, with retries and "
        "logs of their own) or batches (one for 16 images, for data sets of millions).",
    )
    shard_size: int = Field(
        default=20_000,
        ge=1,
        description="A run with more images than this is cut into runs of so many; count.",
    )
    shards: ShardPlace = Field(
        default="here",
        description="Where those runs take place: in this process, one after the other, or as runs "
        "of the deployment run/shard, by the workers of its pool.",
    )


class Setup(BaseModel):
    """A whole request: what is asked, and how it is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[2] = Field(default=2, description="Version of this form.")
    what: What = Field(
        default_factory=lambda: What.model_validate({}), description="What is asked."
    )
    how: How = Field(default_factory=How, description="How it is done.")
