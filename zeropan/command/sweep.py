"""zeropan sweep: a grid of parameters over images, or over a data set with truth."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from zeropan.command.execution import run_flow, show_any
from zeropan.command.options import HOW, SOURCES, WHAT, WORDS, Given, Json, Verbose, takes
from zeropan.command.setup import setup_of
from zeropan.request.places import Places


@takes(WORDS, WHAT, HOW, SOURCES)
def sweep(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Images or folders of images; or one data set with truth, as `zeropan eval` takes "
            "it.",
            metavar="IMAGE...|DATASET",
        ),
    ],
    given: Given,
    grid: Annotated[
        list[str],
        typer.Option(help="An axis, such as things.box_threshold=0.2,0.3,0.4; may be repeated."),
    ],
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run every point of a grid of parameters; perception is computed once."""
    from zeropan.request.grid import parse_grid, points
    from zeropan.request.inputs import check_named
    from zeropan.request.sources import listed, named_files
    from zeropan.request.truth_sources import is_dataset, open_source

    worded = any(given.words.values())
    dataset = sources[0] if is_dataset(sources) and not worded else None
    setup = setup_of(given, with_words=dataset is None)
    points(setup.what.config, parse_grid(grid))
    if dataset is not None:
        home = Places.of(setup.how).home
        open_source(dataset, home, limit=setup.how.limit, render=False)
    else:
        check_named(named_files(sources), max_pixels=setup.how.max_pixels)
    with listed(sources) if dataset is None else nullcontext():
        report = run_flow(
            "sweep",
            verbose,
            setup.how,
            grid=grid,
            images=None if dataset else sources,
            dataset=dataset,
            setup=setup,
        )
    show_any(report, as_json)
