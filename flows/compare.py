"""Two recorded runs side by side: parameters, metrics, and every image they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeropan.errors import ArtifactDamaged, ArtifactMissing, BadInput
from zeropan.evaluation.comparison import changed_pixels, renumbered
from zeropan.evaluation.comparison import compare as compare_results
from zeropan.flows.job import recorded_work
from zeropan.flows.journal import Journal
from zeropan.flows.outputs import image_of
from zeropan.machine.files import write_whole
from zeropan.pictures.difference import Differences, difference
from zeropan.pictures.encoding import png_bytes
from zeropan.pictures.panels import overlay, side_by_side
from zeropan.reports.change import Change
from zeropan.reports.comparison import (
    SHOWN,
    ImageComparison,
    RunComparison,
    markdown,
    metrics,
    title_of,
)
from zeropan.request.parameters import differences
from zeropan.request.recorded import COMPARED_TAG, RecordedRun, open_run
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.images import shown
from zeropan.segmentation.records import Panoptic, UInt8
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.work import ImageRef
from zeropan.tracking.settings import TrackingSettings

_BOOKKEEPING = ("seconds/", "cache/", "run/", "change/")
"""Metrics of how a run went, not of what it found."""


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
    first, second = open_run(settings, run_a), open_run(settings, run_b)
    images_a = {image.sha256: image for image in first.inputs.images}
    images_b = {image.sha256: image for image in second.inputs.images}
    shared = [image for digest, image in images_a.items() if digest in images_b]
    if not shared:
        raise BadInput(
            f"runs {first.run_id[:12]} and {second.run_id[:12]} have no image in common; "
            "compare two runs of the same images"
        )
    categories = _union(first.what.categories, second.what.categories)
    pairs: list[Pair] = []
    images: list[ImageComparison] = []
    missing: list[str] = []
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
        images.append(
            ImageComparison(
                image=image.location,
                sha256=image.sha256,
                change=Change.of(compare_results(result_a, result_b), categories),
            )
        )
        # Of thousands of images only those that are drawn are kept in memory.
        if len(pairs) < SHOWN:
            pairs.append(Pair(image, result_a, result_b, categories, first.inputs.max_pixels))
    return RunComparison(
        run_a=first.run_id,
        run_b=second.run_id,
        name_a=first.found.name,
        name_b=second.found.name,
        parameters=_parameters(first, second),
        metrics=_metrics(first, second),
        images=images,
        only_a=[image.location for digest, image in images_a.items() if digest not in images_b],
        only_b=[image.location for digest, image in images_b.items() if digest not in images_a],
        missing=missing,
        tracking_uri=shown(settings.uri),
    ), pairs


def draw(comparison: RunComparison, pairs: Sequence[Pair], folder: Path) -> dict[str, UInt8]:
    """Draw the first images of both runs beside each other, and write them as files.

    Args:
        comparison: it is told the pictures' paths, or why they could not be written.
        pairs: the images.
        folder: a folder for this comparison is made in it.

    Returns:
        The pictures, uint8 (h, w, 3), by path.
    """
    names = f"A: {comparison.name_a}", f"B: {comparison.name_b}"
    target = folder / f"compare-{comparison.run_a[:8]}-{comparison.run_b[:8]}"
    drawn = {}
    for number, pair in enumerate(pairs):
        path = target / f"{number:03d}-{Path(pair.image.location).stem}.png"
        drawn[str(path)] = pair.picture(names)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path_, picture in drawn.items():
            write_whole(Path(path_), png_bytes(picture))
            comparison.pictures.append(path_)
    except OSError as error:
        comparison.warnings.append(
            f"the pictures could not be written to {target}: {error.strerror or error}; name "
            "another folder with --output"
        )
    return drawn


def log_comparison(
    settings: TrackingSettings, home: Path, comparison: RunComparison, drawn: Mapping[str, UInt8]
) -> None:
    """Log a comparison as a run of MLflow's; a fault of MLflow's becomes a warning in it."""
    journal = Journal.of(
        settings,
        home,
        name=title_of(comparison),
        tags={COMPARED_TAG: f"{comparison.run_a} {comparison.run_b}"},
    )
    journal.describe(markdown(comparison))
    for number, picture in enumerate(drawn.values()):
        journal.log_pictures({"compare/A B difference": picture}, step=number)
    journal.log_metrics(metrics(comparison))
    content = comparison.model_dump_json(indent=1).encode("utf-8", "surrogateescape")
    journal.log_files({"comparison.json": content}, folder="")
    journal.close("FINISHED")
    comparison.tracking_run_id = journal.run_id
    comparison.warnings += journal.warnings


def _parameters(first: RecordedRun, second: RecordedRun) -> dict[str, tuple[str, str]]:
    found = {
        path: (str(old), str(new))
        for path, (old, new) in differences(first.what.config, second.what.config).items()
    }
    for kind in ("things", "stuff"):
        words = [
            ", ".join(category.name for category in getattr(run.what.categories, kind))
            for run in (first, second)
        ]
        if words[0] != words[1]:
            found[f"categories.{kind}"] = (words[0], words[1])
    for name in ("preset", "method"):
        values = getattr(first.what, name), getattr(second.what, name)
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
    work = recorded_work(run.origin, image, run.inputs.store, max_pixels=run.inputs.max_pixels)
    try:
        panoptic = ArtifactStore(work.store_url).read(work.key("panoptic"), Panoptic)
    except (ArtifactMissing, ArtifactDamaged):
        return None
    return renumbered(panoptic, work.categories, categories)
