"""zeropan compare: two recorded runs, for a terminal, as JSON, and as a run of MLflow's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from zeropan.command.options import Experiment, Home, Json
from zeropan.request.places import Places

if TYPE_CHECKING:
    from zeropan.flows.compare import Pair, RunComparison
    from zeropan.tracking.settings import TrackingSettings

SHOWN = 20
"""How many images are listed and drawn."""


def compare(
    run_a: Annotated[str, typer.Argument(help="A run's id, the beginning of one, or latest.")],
    run_b: Annotated[str, typer.Argument(help="The same, for the other run.")] = "latest",
    home: Home = None,
    experiment: Experiment = None,
    output: Annotated[
        str | None, typer.Option(help="Folder of the pictures [default: below home].")
    ] = None,
    log: Annotated[bool, typer.Option(help="Log the comparison as a run of MLflow's.")] = True,
    as_json: Json = False,
) -> None:
    """Compare two recorded runs: parameters, metrics, and the segments of every shared image."""
    from zeropan.flows.compare import compare_runs
    from zeropan.tracking.settings import TrackingSettings

    places = Places.resolve(home=home, output=output)
    settings = TrackingSettings.resolve(default_directory=places.home, experiment=experiment)
    comparison, pairs = compare_runs(settings, run_a, run_b)
    pictures = _draw(comparison, pairs, places.output)
    if log:
        comparison.tracking_run_id = _log(settings, comparison, pictures)
    if as_json:
        content = comparison.model_dump(mode="json") | {"pictures": [str(p) for p in pictures]}
        sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
        return
    _show(comparison, pictures, Console())


def _draw(comparison: RunComparison, pairs: list[Pair], folder: Path) -> list[Path]:
    from zeropan.machine.files import write_whole
    from zeropan.pictures.encoding import png_bytes

    names = f"A: {comparison.name_a}", f"B: {comparison.name_b}"
    target = folder / f"compare-{comparison.run_a[:8]}-{comparison.run_b[:8]}"
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, pair in enumerate(pairs[:SHOWN]):
        path = target / f"{number:03d}-{Path(pair.image.location).stem}.png"
        write_whole(path, png_bytes(pair.picture(names)))
        paths.append(path)
    return paths


def _log(settings: TrackingSettings, comparison: RunComparison, pictures: list[Path]) -> str:
    import numpy as np
    from PIL import Image

    from zeropan.flows.compare import title_of
    from zeropan.tracking.runs import TrackedRun

    run = TrackedRun.start(
        settings,
        name=title_of(comparison),
        tags={"zeropan.compare": f"{comparison.run_a} {comparison.run_b}"},
        description=markdown(comparison),
    )
    for number, path in enumerate(pictures):
        with Image.open(path) as picture:
            run.log_pictures({"compare/A B difference": np.asarray(picture)}, step=number)
    run.log_metrics(
        {
            "change/pixels": _mean([image.change.changed_pixels for image in comparison.images]),
            "change/mean_iou": _mean([image.change.mean_iou for image in comparison.images]),
            "change/images": float(sum(not image.change.nothing for image in comparison.images)),
        }
    )
    run.log_files({"comparison.json": comparison.model_dump_json(indent=1).encode()}, folder="")
    run.finish("FINISHED")
    return run.run_id


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


def _show(comparison: RunComparison, pictures: list[Path], console: Console) -> None:
    console.print(f"A {comparison.run_a[:12]}  {comparison.name_a}", highlight=False)
    console.print(f"B {comparison.run_b[:12]}  {comparison.name_b}", highlight=False)
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
        )
    if len(comparison.images) > SHOWN:
        console.print(f"... and {len(comparison.images) - SHOWN} more images")
    for name, images in (("A", comparison.only_a), ("B", comparison.only_b)):
        if images:
            console.print(f"only in {name}: {len(images)} images")
    for sentence in comparison.missing:
        console.print(f"warning   {sentence}", soft_wrap=True, highlight=False)
    for path in pictures[:3]:
        console.print(f"picture   {path}", soft_wrap=True, highlight=False)
    if comparison.tracking_run_id:
        console.print(f"MLflow    run {comparison.tracking_run_id}", highlight=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
