"""What a run recorded about itself, read back: enough to run it again anywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from zeropan.choices import PrecisionChoice
from zeropan.errors import BadInput
from zeropan.models.presets import ModelIdentities
from zeropan.models.protocols import ModelIdentity
from zeropan.request.request import Request, build_request
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.images import shown
from zeropan.tasks.work import ImageRef
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.search import FoundRun, find_run, read_file
from zeropan.tracking.settings import TrackingSettings

CONFIG_FILE = "config/config.yaml"
INPUTS_FILE = "config/inputs.json"
KIND_TAG = "zeropan.images"
"""The tag that every run of images has."""


class RecordedModel(BaseModel):
    """One model's identity, as a run recorded it."""

    model_config = ConfigDict(frozen=True)

    architecture: str
    sha256: str


class RecordedInputs(BaseModel):
    """What went into a run besides words and parameters."""

    model_config = ConfigDict(frozen=True)

    images: tuple[ImageRef, ...]
    store: str
    """Folder or URL of the artifacts."""
    models: dict[str, RecordedModel]
    max_pixels: int
    device: str
    precision: PrecisionChoice = "auto"

    @classmethod
    def of(
        cls,
        images: Sequence[ImageRef],
        models: ModelIdentities,
        *,
        store: str,
        max_pixels: int,
        device: str,
        precision: PrecisionChoice,
    ) -> RecordedInputs:
        """What to record."""
        return cls(
            # Without what a URL may hold of a user's secrets.
            images=tuple(
                image.model_copy(update={"location": shown(image.location)}) for image in images
            ),
            store=store,
            models={
                role: RecordedModel(architecture=one.architecture, sha256=one.sha256)
                for role, one in models.items()
            },
            max_pixels=max_pixels,
            device=device,
            precision=precision,
        )

    @property
    def identities(self) -> ModelIdentities:
        """The models whose results the run's artifacts are."""
        return ModelIdentities(
            **{
                role: ModelIdentity(architecture=one.architecture, sha256=one.sha256)
                for role, one in self.models.items()
            }
        )


@dataclass(frozen=True)
class RecordedRun:
    """A run that can be run again."""

    found: FoundRun
    request: Request
    inputs: RecordedInputs

    @property
    def run_id(self) -> str:
        """The MLflow run's id."""
        return self.found.run_id


def open_run(
    settings: TrackingSettings, selector: str, *, overrides: Sequence[str] = ()
) -> tuple[RecordedRun, Request]:
    """Find a run; what it recorded, and its request with parameters changed.

    Args:
        settings: where runs are recorded.
        selector: a run id, the beginning of one, or "latest".
        overrides: "stage.field=value" strings.

    Raises:
        BadInput: no such run, it recorded too little, or an override is not possible.
        TrackingError: the tracking server cannot be asked.
    """
    found = find_run(settings, selector, having=KIND_TAG)
    try:
        config = read_file(settings, found.run_id, CONFIG_FILE)
        inputs = RecordedInputs.model_validate_json(read_file(settings, found.run_id, INPUTS_FILE))
    except (TrackingError, ValidationError) as error:
        raise BadInput(
            f"run {found.run_id} did not record all of its configuration and images; "
            "start it anew with `zeropan run`"
        ) from error
    with tempfile.TemporaryDirectory(prefix="zeropan-config-") as scratch:
        path = Path(scratch) / "config.yaml"
        path.write_bytes(config)
        before = build_request(config_file=path, need_weights=False)
        after = build_request(config_file=path, overrides=overrides, need_weights=False)
    return RecordedRun(found, before, inputs), after


def differences(before: PipelineConfig, after: PipelineConfig) -> dict[str, tuple[object, object]]:
    """The parameters that differ: "stage.field" to the old and the new value."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {
        f"{stage}.{field}": (value, new[stage][field])
        for stage, values in old.items()
        for field, value in values.items()
        if value != new[stage][field]
    }
