"""Everything that one flow run of images is about, resolved before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from zeropan.choices import PrecisionChoice
from zeropan.errors import ArtifactDamaged, ArtifactMissing
from zeropan.flows.chain import plan_work
from zeropan.models.loading import resolve_device
from zeropan.models.presets import ModelIdentities, find_preset
from zeropan.request.places import Places
from zeropan.request.recorded import RecordedInputs, RecordedRun, differences
from zeropan.request.request import Request
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS
from zeropan.segmentation.records import Panoptic
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.work import ImageRef, ImageWork, Stage


@dataclass(frozen=True)
class Job:
    """Images, words, parameters and models, and where everything is kept."""

    places: Places
    request: Request
    images: list[ImageRef]
    models: ModelIdentities
    device: str = "auto"
    precision: PrecisionChoice = "auto"
    max_pixels: int = DEFAULT_MAX_PIXELS
    experiment: str | None = None
    name: str | None = None
    """Name of the MLflow run; made from the images and the changes where there is none."""
    force: tuple[Stage, ...] = ()
    """Stages to compute even if they are stored."""
    origin: RecordedRun | None = None
    """The run that this one changes."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Further tags of the MLflow run."""

    def __post_init__(self) -> None:
        resolve_device(self.device)

    def work(self, image: ImageRef) -> ImageWork:
        """What the tasks of one image need; nothing runs."""
        return plan_work(
            image, self.request, self.models, self.places.store_url,
            device=self.device, precision=self.precision, max_pixels=self.max_pixels,
            force=self.force,
        )  # fmt: skip

    def with_images(self, images: list[ImageRef]) -> Job:
        """The same job with other images."""
        return replace(self, images=images)

    @property
    def inputs(self) -> RecordedInputs:
        """What is recorded, so that the job can be run again."""
        return RecordedInputs.of(
            self.images, self.models,
            store=self.places.store_url, max_pixels=self.max_pixels,
            device=self.device, precision=self.precision,
        )  # fmt: skip

    @property
    def changed(self) -> dict[str, tuple[object, object]]:
        """Parameters that differ from the origin's, or where there is none from the usual ones."""
        usual = find_preset(self.request.preset, need_weights=False).config_for(self.request.method)
        before = self.origin.request.config if self.origin else usual
        return differences(before, self.request.config)

    @property
    def changes(self) -> dict[str, object]:
        """What names and descriptions say: the new values, and the origin's where there is one."""
        said: dict[str, object] = {
            path: f"{old} → {new}" if self.origin else new
            for path, (old, new) in self.changed.items()
        }
        if self.force:
            said[self.force[0]] = "computed again"
        return said

    def previous(self, image: ImageRef) -> Panoptic | None:
        """What the origin found in an image, if there is an origin and the store still has it."""
        if self.origin is None:
            return None
        work = plan_work(
            image, self.origin.request, self.origin.inputs.identities, self.places.store_url,
            device=self.device, precision=self.precision, max_pixels=self.max_pixels,
        )  # fmt: skip
        try:
            return ArtifactStore(self.places.store_url).read(work.key("panoptic"), Panoptic)
        except (ArtifactMissing, ArtifactDamaged):
            return None
