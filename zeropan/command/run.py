"""zeropan run: segment images, or all of a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from zeropan.command.execution import run_flow, show
from zeropan.command.options import HOW, RETRY, SOURCES, WHAT, WORDS, Given, Json, Verbose, takes
from zeropan.command.setup import setup_of


@takes(WORDS, WHAT, HOW, SOURCES, RETRY)
def run(
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files; or a data set: folders, globs, COCO image lists, .txt lists. Paths "
            "or URLs such as s3://bucket/folder.",
            metavar="IMAGE...|DATASET...",
        ),
    ],
    given: Given,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Segment images, or all of a data set, for things and stuff named in words."""
    from zeropan.reports.run import RunReport
    from zeropan.reports.terminal import render
    from zeropan.request.inputs import check_named
    from zeropan.request.sources import listed, named_files

    setup = setup_of(given)
    check_named(named_files(images), max_pixels=setup.how.max_pixels)
    with listed(images):
        report = run_flow("run", verbose, setup.how, sources=images, setup=setup)
    show(report, RunReport, render, as_json)
