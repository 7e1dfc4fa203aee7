"""What differs between two runs: plain data that travels as JSON, and its rendering."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from zeropan.reports.change import Change
from zeropan.reports.run import SCHEMA_VERSION

SHOWN = 20
"""How many images are listed and drawn."""


class ImageComparison(BaseModel):
    """One image in both runs."""

    image: str
    sha256: str
    change: Change


class RunComparison(BaseModel):
    """What differs between run A and run B."""

    schema_version: int = SCHEMA_VERSION
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
    pictures: list[str] = []
    """Paths of the first images' pictures."""
    warnings: list[str] = []


def title_of(comparison: RunComparison) -> str:
    """The name of the logged comparison: what differs, or the two runs."""
    said = [
        f"{path.rpartition('.')[2]} {old} ↔ {new}"
        for path, (old, new) in comparison.parameters.items()
        if len(old) + len(new) < 40
    ]
    first = Path(comparison.images[0].image).name if comparison.images else "no image"
    return f"compare {first} · {', '.join(said[:3]) or 'nothing differs'}"


def markdown(comparison: RunComparison) -> str:
    """The comparison as a run's description."""
    lines = [
        f"A: **{comparison.name_a}** (`{comparison.run_a}`)",
        f"B: **{comparison.name_b}** (`{comparison.run_b}`)",
        "",
        "| parameter | A | B |",
        "|---|---|---|",
        *(f"| {path} | {old} | {new} |" for path, (old, new) in comparison.parameters.items()),
        "",
        *(f"- {Path(i.image).name}: {i.change.in_words()}" for i in comparison.images[:SHOWN]),
    ]
    return "\n\n".join(lines[:2]) + "\n" + "\n".join(lines[2:])


def metrics(comparison: RunComparison) -> dict[str, float]:
    """Numbers for MLflow."""
    changes = [image.change for image in comparison.images]
    return {
        "change/pixels": _mean([change.changed_pixels for change in changes]),
        "change/mean_iou": _mean([change.mean_iou for change in changes]),
        "change/images": float(sum(not change.nothing for change in changes)),
    }


def render_comparison(comparison: RunComparison, console: Console) -> None:
    """Print a comparison for a person."""
    console.print(f"A {comparison.run_a[:12]}  {comparison.name_a}", highlight=False, markup=False)
    console.print(f"B {comparison.run_b[:12]}  {comparison.name_b}", highlight=False, markup=False)
    rows = [(path, old, new) for path, (old, new) in comparison.parameters.items()]
    rows += [(name, _number(a), _number(b)) for name, (a, b) in comparison.metrics.items()]
    if rows:
        table = Table(show_edge=False, pad_edge=False)
        for column in ("what differs", "A", "B"):
            table.add_column(column)
        for row in rows[:40]:
            table.add_row(*row)
        console.print(table)
        if len(rows) > 40:
            console.print(f"... and {len(rows) - 40} more; --json has all of them")
    for image in comparison.images[:SHOWN]:
        console.print(
            f"{Path(image.image).name}: {image.change.in_words()} "
            f"({image.change.matched} matched, mean IoU {image.change.mean_iou:.3f})",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    if len(comparison.images) > SHOWN:
        console.print(f"... and {len(comparison.images) - SHOWN} more images")
    for name, images in (("A", comparison.only_a), ("B", comparison.only_b)):
        if images:
            console.print(f"only in {name}: {len(images)} images")
    for sentence in (*comparison.missing, *comparison.warnings):
        console.print(f"warning   {sentence}", soft_wrap=True, highlight=False, markup=False)
    for path in comparison.pictures[:3]:
        console.print(f"picture   {path}", soft_wrap=True, highlight=False, markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
