"""What one reads about a run: its name, its numbers, its description."""

from __future__ import annotations

from collections.abc import Mapping

from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Panoptic, SegmentInfo
from zeropan.tracking.names import name as metric_name

_SUMS = ("things", "stuff", "total", "things_mean", "stuff_mean")


def metrics_of(panoptic: Panoptic, categories: Categories) -> dict[str, float]:
    """The numbers of one result, under legal metric names.

    `count/things`, `count/stuff`, `count/<category>`: segments. `coverage/total`,
    `coverage/things`, `coverage/stuff`, `coverage/<category>`: shares of the image, 0 to 1.
    `score/things_mean`, `score/stuff_mean`, `score/<category>`: mean scores, 0 to 1, absent where
    there is no segment. `area/things_median_px`: pixels. Every category that was asked for is
    there, found or not, so that charts of runs compare like with like.
    """
    segments = panoptic.segments_info
    pixels = max(1, panoptic.label_map.size)
    metrics = {"coverage/total": sum(segment.area for segment in segments) / pixels}
    for kind, isthing in (("things", True), ("stuff", False)):
        of_kind = [segment for segment in segments if segment.isthing == isthing]
        metrics[f"count/{kind}"] = float(len(of_kind))
        metrics[f"coverage/{kind}"] = sum(segment.area for segment in of_kind) / pixels
        if of_kind:
            metrics[f"score/{kind}_mean"] = _mean_score(of_kind)
    areas = sorted(segment.area for segment in segments if segment.isthing)
    if areas:
        metrics["area/things_median_px"] = float(areas[len(areas) // 2])
    for category_id, category in enumerate(categories.ordered, start=1):
        mine = [segment for segment in segments if segment.category_id == category_id]
        metrics[category_metric("count", category.name)] = float(len(mine))
        metrics[category_metric("coverage", category.name)] = (
            sum(segment.area for segment in mine) / pixels
        )
        if mine:
            metrics[category_metric("score", category.name)] = _mean_score(mine)
    return metrics


def category_metric(prefix: str, category: str) -> str:
    """The metric name `<prefix>/<category>`, legal and never that of a sum over categories."""
    if category in _SUMS:
        # The mark cannot come out of the escaping of any other category's name.
        return metric_name(prefix, category) + "_x_category"
    return metric_name(prefix, category)


def run_name(
    image: str,
    changed: Mapping[str, object] | None = None,
    *,
    changes_first: bool = False,
    limit: int = 120,
) -> str:
    """The image and what differs from the defaults: "sushi.jpg · box_threshold 0.3".

    Args:
        image: the image's file name or the data set's name.
        changed: the settings that differ, such as {"things.box_threshold": 0.3}; the last part of
            each name is shown.
        changes_first: for runs that differ by little else, since lists cut long names off.
        limit: most characters.
    """
    changes = [
        f"{key.replace('/', '.').rsplit('.', 1)[-1]} {value}"
        for key, value in (changed or {}).items()
    ]
    said = [*changes, image] if changes_first else [image, *changes]
    text = " · ".join(said)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def description(
    panoptic: Panoptic,
    categories: Categories,
    *,
    image: str,
    changed: Mapping[str, object] | None = None,
    lines: Mapping[str, str] | None = None,
    picture: str | None = None,
) -> str:
    """The run's description in Markdown: a sentence, a table, further lines, a picture.

    Args:
        panoptic: the result.
        categories: those it was made with.
        image: the image's file name.
        changed: the settings that differ from the defaults, by name.
        lines: further facts, such as {"Store": "…", "Run again": "`zeropan rerun …`"}.
        picture: a picture's address, from `TrackedRun.picture_address`.
    """
    numbers = metrics_of(panoptic, categories)
    height, width = panoptic.label_map.shape
    text = [
        f"**{_cell(image)}** ({width} × {height}): {numbers['count/things']:.0f} things, "
        f"{numbers['count/stuff']:.0f} stuff, {numbers['coverage/total']:.1%} of the image "
        "labelled.",
        "",
        "| category | kind | count | coverage | mean score |",
        "|---|---|--:|--:|--:|",
    ]
    for category_id, category in enumerate(categories.ordered, start=1):
        mine = [s for s in panoptic.segments_info if s.category_id == category_id]
        share = sum(segment.area for segment in mine) / max(1, panoptic.label_map.size)
        score = f"{_mean_score(mine):.2f}" if mine else "–"
        kind = "thing" if category.isthing else "stuff"
        text.append(f"| {_cell(category.name)} | {kind} | {len(mine)} | {share:.1%} | {score} |")
    if changed:
        text += ["", "Changed: " + ", ".join(f"`{key} = {changed[key]}`" for key in changed)]
    for title, line in (lines or {}).items():
        text += ["", f"{title}: {line}"]
    if picture is not None:
        text += ["", f"![overlay]({picture})"]
    return "\n".join(text)


def _mean_score(segments: list[SegmentInfo]) -> float:
    return sum(float(segment.score) for segment in segments) / len(segments)


def _cell(word: str) -> str:
    return "".join("\\" + sign if sign in "|*_`<>[]\\" else sign for sign in word)
