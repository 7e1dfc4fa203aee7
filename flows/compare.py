"""Two recorded runs side by side: parameters, metrics, and every image they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from zeropan.errors import ArtifactDamaged, ArtifactMissing, BadInput
from zeropan.evaluation.comparison import changed_pixels
from zeropan.evaluation.comparison import compare as compare_results
from zeropan.flows.chain import plan_work
from zeropan.flows.outputs import image_of
from zeropan.pictures.difference import Differences, difference
from zeropan.pictures.panels import overlay, side_by_side
from zeropan.reports.change import Change
from zeropan.request.recorded import RecordedRun, differences, open_run
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Panoptic, UInt8
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.work import ImageRef
from zeropan.tracking.settings import TrackingSettings

_BOOKKEEPING = ("seconds/", "cache/", "run/", "change/")
"""Metrics of how a run went, not of what it found."""


class ImageComparison(BaseModel):
    """One image in both runs."""

    image: str
    sha256: str
    change: Change


class RunComparison(BaseModel):
    """What differs between run A and run B."""

    run_a: str
    run_b: str
    name_a: str
    name_b: str
    parameters: dict[str, tuple[str, str]]
    """Settings that differ, by name: A's value and B's."""
    metrics: dict[str, tuple[float | None, float | None]]
    """Results that differ, by name; None where a run has none."""
    images: list[ImageComparison]
    only_a: list[str]
    """Images that only A has."""
    only_b: list[str]
    missing: list[str]
    """Sentences about images whose results the store no longer holds."""
    tracking_uri: str
    tracking_run_id: str | None = None


@dataclass(frozen=True)
class Pair:
    """One image's two results, with categories numbered alike."""

    image: ImageRef
    first: Panoptic
    second: Panoptic
    categories: Categories
    max_pixels: int

    def picture(self, names: tuple[str, str]) -> UInt8:
        """A, B and the difference in a row: uint8 (h, w, 3)."""
        image, _ = image_of(self.image, self.first, max_pixels=self.max_pixels)
        found = compare_results(self.first, self.second)
        differs = Differences(
            lost=[segment.id for segment in found.lost],
            gained=[segment.id for segment in found.gained],
            relabelled=[pair.second.id for pair in found.pairs if pair.relabelled],
            changed=changed_pixels(self.first, self.second, found),
        )
        return side_by_side(
            [
                (names[0], overlay(image, self.first, self.categories)),
                (names[1], overlay(image, self.second, self.categories)),
                (
                    "difference",
                    difference(image, self.first, self.second, differs, self.categories),
                ),
            ]
        )


def compare_runs(
    settings: TrackingSettings, run_a: str, run_b: str
) -> tuple[RunComparison, list[Pair]]:
    """Compare two recorded runs.

    Args:
        settings: where runs are recorded.
        run_a: a run id, the beginning of one, or "latest".
        run_b: the same.

    Raises:
        BadInput: a run is not there, or the two have no image in common.
        TrackingError: the tracking server cannot be asked.
    """
    first, _ = open_run(settings, run_a)
    second, _ = open_run(settings, run_b)
    images_a = {image.sha256: image for image in first.inputs.images}
    images_b = {image.sha256: image for image in second.inputs.images}
    shared = [image for digest, image in images_a.items() if digest in images_b]
    if not shared:
        raise BadInput(
            f"runs {first.run_id[:12]} and {second.run_id[:12]} have no image in common; "
            "compare two runs of the same images"
        )
    categories = _union(first.request.categories, second.request.categories)
    pairs, missing = [], []
    for image in shared:
        result_a = _result(first, image, categories)
        result_b = _result(second, image, categories)
        if result_a is None or result_b is None:
            run = first if result_a is None else second
            missing.append(
                f"the result of {image.location} in run {run.run_id[:12]} is no longer in "
                f"{run.inputs.store}; `zeropan rerun {run.run_id[:12]}` makes it again"
            )
            continue
        pairs.append(Pair(image, result_a, result_b, categories, first.inputs.max_pixels))
    return RunComparison(
        run_a=first.run_id,
        run_b=second.run_id,
        name_a=first.found.name,
        name_b=second.found.name,
        parameters=_parameters(first, second),
        metrics=_metrics(first, second),
        images=[
            ImageComparison(
                image=pair.image.location,
                sha256=pair.image.sha256,
                change=Change.of(compare_results(pair.first, pair.second), categories),
            )
            for pair in pairs
        ],
        only_a=[image.location for digest, image in images_a.items() if digest not in images_b],
        only_b=[image.location for digest, image in images_b.items() if digest not in images_a],
        missing=missing,
        tracking_uri=settings.uri,
    ), pairs


def _parameters(first: RecordedRun, second: RecordedRun) -> dict[str, tuple[str, str]]:
    found = {
        path: (str(old), str(new))
        for path, (old, new) in differences(first.request.config, second.request.config).items()
    }
    for kind in ("things", "stuff"):
        words = [
            ", ".join(category.name for category in getattr(run.request.categories, kind))
            for run in (first, second)
        ]
        if words[0] != words[1]:
            found[f"categories.{kind}"] = (words[0], words[1])
    for name in ("preset", "method"):
        values = getattr(first.request, name), getattr(second.request, name)
        if values[0] != values[1]:
            found[name] = values
    for role, model in first.inputs.models.items():
        other = second.inputs.models.get(role)
        if other is not None and other.sha256 != model.sha256:
            found[f"models.{role}"] = (model.sha256[:12], other.sha256[:12])
    return found


def _metrics(
    first: RecordedRun, second: RecordedRun
) -> dict[str, tuple[float | None, float | None]]:
    a, b = first.found.metrics, second.found.metrics
    return {
        name: (a.get(name), b.get(name))
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name) and not name.startswith(_BOOKKEEPING)
    }


def _union(first: Categories, second: Categories) -> Categories:
    """The categories of both, by name; what is a thing in one must be one in the other."""
    names = {category.name for category in first.ordered}
    new = [category for category in second.ordered if category.name not in names]
    for category in second.ordered:
        for other in first.ordered:
            if other.name == category.name and other.isthing != category.isthing:
                raise BadInput(
                    f"{category.name!r} is a thing in one run and stuff in the other; "
                    "compare runs that agree on that"
                )
    return Categories(
        things=(*first.things, *(category for category in new if category.isthing)),
        stuff=(*first.stuff, *(category for category in new if not category.isthing)),
    )


def _result(run: RecordedRun, image: ImageRef, categories: Categories) -> Panoptic | None:
    """A run's result for an image, with these categories' numbers; None where it is gone."""
    inputs, request = run.inputs, run.request
    work = plan_work(
        image, request, inputs.identities, inputs.store,
        device=inputs.device, precision=inputs.precision, max_pixels=inputs.max_pixels,
    )  # fmt: skip
    try:
        panoptic = ArtifactStore(inputs.store).read(work.key("panoptic"), Panoptic)
    except (ArtifactMissing, ArtifactDamaged):
        return None
    numbers = {category.name: i for i, category in enumerate(categories.ordered, start=1)}
    return Panoptic(
        panoptic.label_map,
        tuple(
            replace(s, category_id=numbers[work.categories.by_id(s.category_id).name])
            for s in panoptic.segments_info
        ),
    )


def title_of(comparison: RunComparison) -> str:
    """The name of the logged comparison: what differs, or the two runs."""
    said = [
        f"{path.rpartition('.')[2]} {old} ↔ {new}"
        for path, (old, new) in comparison.parameters.items()
        if len(old) + len(new) < 40
    ]
    first = Path(comparison.images[0].image).name if comparison.images else "no image"
    return f"compare {first} · {', '.join(said[:3]) or 'nothing differs'}"
