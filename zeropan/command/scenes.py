"""zeropan scenes: the rendered tabletop scenes as a data set of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from zeropan.choices import Pairs

app = typer.Typer(
    help="Rendered tabletop scenes with exact ground truth.",
    no_args_is_help=True,
)


@app.callback()
def _scenes() -> None:
    """Keeps `export` a command of its own, though it is the only one."""


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many scenes.")] = 100,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 0,
    height: Annotated[int, typer.Option(min=32, max=4096, help="Pixels.")] = 256,
    width: Annotated[int, typer.Option(min=32, max=4096, help="Pixels.")] = 256,
    pairs: Annotated[
        Pairs,
        typer.Option(help="Colours of things: all, those of the training, or those held out."),
    ] = "all",
) -> None:
    """Write scenes as a COCO-panoptic data set that other tools can read."""
    from zeropan.scenes.export import export_scenes

    seeds = range(first_seed, first_seed + count)
    bar = track(seeds, description="rendering", console=Console(stderr=True), transient=True)
    export_scenes(folder, bar, height=height, width=width, pairs=pairs)
    json_path = folder / "annotations" / "panoptic.json"
    Console().print(
        f"{count} scenes in {folder}\ntruth: {json_path}\nmeasure with: zeropan eval {folder}",
        highlight=False,
        soft_wrap=True,
    )
