"""What a run recorded about itself, read back: enough to run it again anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from zeropan.choices import PrecisionChoice
from zeropan.errors import BadInput
from zeropan.models.presets import ModelIdentities
from zeropan.models.protocols import ModelIdentity
from zeropan.request.parameters import validated, with_overrides
from zeropan.request.setup import What
from zeropan.request.setup_file import parse_setup
from zeropan.segmentation.images import shown
from zeropan.tasks.work import ImageRef
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.search import FoundRun, find_run, read_file
from zeropan.tracking.settings import TrackingSettings

CONFIG_FILE = "config/config.yaml"
INPUTS_FILE = "config/inputs.json"
KIND_TAG = "zeropan.images"
"""The tag that every run of images has."""
NAMED_TAG = "zeropan.named"
"""The tag of runs that a person gave a name."""
COMPARED_TAG = "zeropan.compare"
"""The tag of a comparison: the ids of the two runs."""
Command = Literal["run", "evaluate", "sweep"]


class RecordedModel(BaseModel):
    """One model's identity, as a run recorded it."""

    model_config = ConfigDict(frozen=True)

    architecture: str
    sha256: str


class RecordedInputs(BaseModel):
    """What went into a run besides its setup."""

    model_config = ConfigDict(frozen=True)

    images: tuple[ImageRef, ...]
    store: str
    """Folder or URL of the artifacts."""
    models: dict[str, RecordedModel]
    max_pixels: int
    device: str
    precision: PrecisionChoice = "auto"
    keys: int = 1
    """Under which rule the results are stored; 1 is that of release 0.1."""
    command: Command = "run"
    """What was started."""
    options: dict[str, Any] = {}
    """What the command was told besides: an evaluation's data set, a sweep's grid."""
    shards: tuple[str, ...] = ()
    """MLflow runs of the parts of a run that was cut into several."""

    @property
    def identities(self) -> ModelIdentities:
        """The models whose results the run's artifacts are."""
        return ModelIdentities(
            **{
                role: ModelIdentity(architecture=one.architecture, sha256=one.sha256)
                for role, one in self.models.items()
            }
        )


def recorded_models(models: ModelIdentities) -> dict[str, RecordedModel]:
    """Identities in the form that a run records."""
    return {
        role: RecordedModel(architecture=one.architecture, sha256=one.sha256)
        for role, one in models.items()
    }


def without_secrets(images: Sequence[ImageRef]) -> tuple[ImageRef, ...]:
    """References without what a URL may hold of a user's secrets."""
    return tuple(image.model_copy(update={"location": shown(image.location)}) for image in images)


@dataclass(frozen=True)
class Origin:
    """A recorded run as the one that changes it knows it."""

    run_id: str
    name: str
    what: What
    models: ModelIdentities
    precision: PrecisionChoice
    """Of the backbones; "auto" only where the preset's are too small for any but fp32."""
    keys: int
    """Under which rule its results are stored."""

    @property
    def pinned(self) -> What:
        """What was asked, with the precision that "auto" was on the machine of the run."""
        return self.what.model_copy(update={"precision": self.precision})


@dataclass(frozen=True)
class RecordedRun:
    """A run that can be run again."""

    found: FoundRun
    what: What
    inputs: RecordedInputs

    @property
    def run_id(self) -> str:
        """The MLflow run's id."""
        return self.found.run_id

    @property
    def origin(self) -> Origin:
        """What is known of it wherever its images are worked on."""
        return Origin(
            run_id=self.run_id,
            name=self.found.name,
            what=self.what,
            models=self.inputs.identities,
            precision=self.inputs.precision,
            keys=self.inputs.keys,
        )

    def changed(self, overrides: Sequence[str]) -> What:
        """What is asked after a change of parameters.

        Raises:
            BadConfig: an override is not possible.
        """
        return changed(self.what, overrides)


def changed(what: What, overrides: Sequence[str]) -> What:
    """The same request with parameters changed.

    Args:
        what: the request.
        overrides: "stage.parameter=value" texts.

    Raises:
        BadConfig: an override is not possible.
    """
    content: Mapping[str, Any] = what.model_dump()
    return validated(What, {**content, "config": with_overrides(content["config"], overrides)})


def open_run(settings: TrackingSettings, selector: str) -> RecordedRun:
    """Find a run and what it recorded.

    Args:
        settings: where runs are recorded.
        selector: a run id, the beginning of one, or "latest".

    Raises:
        BadInput: no such run, or it recorded too little.
        TrackingError: the tracking server cannot be asked.
    """
    found = find_run(settings, selector, having=KIND_TAG)
    try:
        config = read_file(settings, found.run_id, CONFIG_FILE).decode()
        inputs = RecordedInputs.model_validate_json(read_file(settings, found.run_id, INPUTS_FILE))
    except (TrackingError, ValidationError, UnicodeDecodeError) as error:
        raise BadInput(
            f"run {found.run_id} did not record all of its configuration and images; "
            "start it anew with `zeropan run`"
        ) from error
    asked = parse_setup(config, f"the configuration of run {found.run_id[:12]}").get("what") or {}
    # Release 0.1 kept the precision with the inputs.
    return RecordedRun(found, validated(What, {"precision": inputs.precision, **asked}), inputs)
