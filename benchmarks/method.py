"""The default method against the reference, and each difference on its own.

    python -m benchmarks.method [--scenes SEED0-SEED1] [--set stage.field=value ...] [--figure PNG]

Perception runs once a scene; every row then re-runs the four steps on the same outputs with other
parameters, with every word prompted. Rows: the default, the reference, the default with one
difference set back to the reference's, and whatever --set asks for. Every row but the default's
has the 95% interval of its PQ's difference from the default's, by resampling the scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bootstrap import difference_interval
from benchmarks.scoring import CATEGORIES, Row, perceive, score, seeds_of
from zeropan.models.presets import find_preset
from zeropan.request.parameters import parse_override
from zeropan.segmentation.config import METHODS, PipelineConfig

DIFFERENCES: dict[str, tuple[str, ...]] = {
    "a prompt's score is the mean of its tokens": ("things.token_score",),
    "duplicate boxes are suppressed": ("things.nms_iou",),
    "at most 100 boxes": ("things.max_boxes",),
    "32 points a region, not 1000": ("stuff_masks.points_per_region",),
    "points are spread, not drawn by score": ("stuff_masks.sampling",),
    "regions are eroded by a share of the image": ("stuff_masks.erosion", "stuff_masks.erosion_px"),
    "few spread points (the three above together)": (
        "stuff_masks.points_per_region", "stuff_masks.sampling",
        "stuff_masks.erosion", "stuff_masks.erosion_px",
    ),
    "small parts of a region prompt nothing": ("stuff_masks.min_region_area",),
    "one mask, not the union of three": ("stuff_masks.multimask",),
    "masks that leave their region are refused": ("stuff_masks.min_agreement",),
    "the smaller of two things is on top": ("panoptic.overlap",),
    "least areas": ("panoptic.min_thing_area", "panoptic.min_stuff_area"),
    "holes are filled": ("panoptic.max_hole_area",),
    "crumbs are removed": ("panoptic.max_crumb_area",),
    "things hidden by better ones are dropped": ("panoptic.min_visible_share",),
}  # fmt: skip
"""What the default method does otherwise than the reference, and the parameters that undo it."""


def with_value(config: PipelineConfig, stage: str, field: str, value: object) -> PipelineConfig:
    """The configuration with one parameter changed, checked."""
    values = config.model_dump()
    values[stage][field] = value
    return PipelineConfig.model_validate(values)


def rows(given: argparse.Namespace) -> Iterator[tuple[str, PipelineConfig]]:
    """Names and parameters of the table's rows, the default first."""
    default = find_preset(given.preset).config_for("default")
    reference = METHODS["reference"]
    yield "default", default
    yield "reference", reference
    for difference, paths in {} if given.only_set else DIFFERENCES.items():
        changed = default
        for path in paths:
            stage, _, field = path.partition(".")
            changed = with_value(changed, stage, field, getattr(getattr(reference, stage), field))
        yield f"without: {difference}", changed
    for text in given.set:
        changed = default
        for part in text.split():
            changed = with_value(changed, *parse_override(part))
        yield text, changed


def main() -> None:
    """Measure and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="1000-1039", help="seeds, first to last")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--set", action="append", default=[], help="one more row")
    parser.add_argument("--only-set", action="store_true", help="no row for each difference")
    parser.add_argument("--figure", type=Path, help="draw the table as a PNG")
    given = parser.parse_args()
    scenes = perceive(seeds_of(given.scenes), given.preset)
    print(
        "| method | PQ | below the default, 95% | things | stuff | SQ | RQ | s, of the default |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    score("warm-up", scenes[:3], METHODS["reference"], given.preset)
    done: list[Row] = []
    for name, config in rows(given):
        row = score(name, scenes, config, given.preset)
        done.append(row)
        all_, things, stuff = (
            getattr(row.report, kind) for kind in ("all", "things", "stuff")
        )  # fmt: skip
        low, high = difference_interval(done[0].scenes, row.scenes)
        print(
            f"| {name} | {all_.pq:.3f} | {low:+.3f} to {high:+.3f} | {things.pq:.3f} "
            f"| {stuff.pq:.3f} | {all_.sq:.3f} | {all_.rq:.3f} "
            f"| {row.seconds / done[0].seconds:.2f} |",
            flush=True,
        )
    print(f"default: {done[0].seconds:.3f} s a scene")
    for number, counts in done[0].report.per_category.items():
        print(f"    {CATEGORIES.by_id(number).name}: PQ {counts.pq:.3f}")
    if given.figure:
        from benchmarks.figures import draw_ablation

        draw_ablation(done, given.figure)


if __name__ == "__main__":
    main()
