"""Everything that one flow run of images is about, resolved before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from zeropan.choices import PrecisionChoice
from zeropan.errors import ArtifactDamaged, ArtifactMissing
from zeropan.evaluation.comparison import renumbered
from zeropan.models.loading import resolve_device, resolve_precisions
from zeropan.models.presets import ROLES, ModelIdentities, find_preset, identities
from zeropan.request.parameters import differences
from zeropan.request.places import Places
from zeropan.request.recorded import Origin
from zeropan.request.setup import Setup, What
from zeropan.segmentation.records import Panoptic
from zeropan.storage.keys import artifact_key
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.cache_rule_0_1 import plan_keys_0_1
from zeropan.tasks.planning import ChosenModels, plan_image
from zeropan.tasks.work import ImageRef, ImageWork, Stage


@dataclass(frozen=True)
class Job:
    """A setup with its models and places; the images are named one by one."""

    setup: Setup
    places: Places
    models: ModelIdentities
    force: tuple[Stage, ...] = ()
    """Stages to compute even if they are stored."""
    origin: Origin | None = None
    """The run that this one changes."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Further tags of the MLflow run."""

    def __post_init__(self) -> None:
        resolve_device(self.setup.how.device)

    @classmethod
    def of(cls, setup: Setup) -> Job:
        """The job of a setup, with the models of its preset.

        Raises:
            WeightsMissing: a model's files are absent.
            BadConfig: a place or the device is none.
        """
        return cls(setup, Places.of(setup.how), identities(setup.what.preset))

    @property
    def precision(self) -> PrecisionChoice:
        """Of the backbones on this machine; "auto" where they do not have one and the same."""
        what = self.setup.what
        found = resolve_precisions(what.preset, self.setup.how.device, what.precision)
        one, *others = set(found.values())
        return "auto" if others else one

    def with_what(self, what: What) -> Job:
        """The same job that asks something else."""
        return replace(self, setup=self.setup.model_copy(update={"what": what}))

    def named(self, name: str) -> Job:
        """The same job whose MLflow run has this name."""
        how = self.setup.how.model_copy(update={"name": name})
        return replace(self, setup=self.setup.model_copy(update={"how": how}))

    def work(self, image: ImageRef) -> ImageWork:
        """What the tasks of one image need, with every stage's key; nothing runs."""
        how = self.setup.how
        return plan_work(
            image, self.setup.what, self.models, self.places.store_url,
            device=how.device, max_pixels=how.max_pixels, force=self.force,
        )  # fmt: skip

    def previous(self, image: ImageRef) -> Panoptic | None:
        """What the origin found in an image, with this job's numbers of the categories.

        None where there is no origin, where it did not know one of the categories alike, or where
        the store no longer has its result.
        """
        if self.origin is None:
            return None
        before = recorded_work(
            self.origin, image, self.places.store_url, max_pixels=self.setup.how.max_pixels
        )
        try:
            found = ArtifactStore(before.store_url).read(before.key("panoptic"), Panoptic)
            return renumbered(found, before.categories, self.work(image).categories)
        except (ArtifactMissing, ArtifactDamaged, KeyError):
            return None

    @property
    def changed(self) -> dict[str, tuple[object, object]]:
        """Parameters that differ from the origin's, or where there is none from the usual ones."""
        what = self.setup.what
        usual = find_preset(what.preset, need_weights=False).config_for(what.method)
        before = self.origin.what.config if self.origin else usual
        return differences(before, what.config)

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

    @cached_property
    def request_digest(self) -> str:
        """32 hex digits that stand for words, parameters and models."""
        what = self.setup.what
        request = {
            "categories": what.categories.canonical.model_dump(mode="json"),
            "config": what.config.model_dump(mode="json"),
            "models": {role: identity.sha256 for role, identity in self.models.items()},
        }
        return artifact_key("request", version=1, inputs=request).digest


def plan_work(
    image: ImageRef,
    what: What,
    models: ModelIdentities,
    store_url: str,
    *,
    device: str,
    max_pixels: int,
    force: tuple[Stage, ...] = (),
) -> ImageWork:
    """What the tasks of one image need, with every stage's key; nothing runs."""
    precisions = resolve_precisions(what.preset, device, what.precision)
    chosen = ChosenModels(what.preset, models, precisions, device)
    return plan_image(
        image, what.categories, what.config, chosen,
        store_url=store_url, max_pixels=max_pixels, force=force,
    )  # fmt: skip


def recorded_work(origin: Origin, image: ImageRef, store_url: str, *, max_pixels: int) -> ImageWork:
    """Where a recorded run has its results for an image, by the rule that it made keys by."""
    what = origin.what
    if origin.keys > 1:
        return plan_work(
            image, origin.pinned, origin.models, store_url, device="cpu", max_pixels=max_pixels
        )
    first = plan_keys_0_1(image.sha256, what.categories, what.config, origin.models)
    return ImageWork(
        image=image,
        categories=what.categories,
        config=what.config,
        preset=what.preset,
        models=_plain(origin.models),
        device="cpu",
        precisions=dict.fromkeys(ROLES, "fp32"),
        store_url=store_url,
        max_pixels=max_pixels,
        digests={stage: key.digest for stage, key in first.items()},
        word_digests={},
    )


def _plain(models: ModelIdentities) -> dict[str, dict[str, str]]:
    return {
        role: {"architecture": one.architecture, "sha256": one.sha256}
        for role, one in models.items()
    }
