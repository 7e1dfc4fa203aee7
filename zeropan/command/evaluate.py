"""zeropan eval: panoptic quality against a data set's truth."""

from __future__ import annotations

from typing import Annotated

import typer

from zeropan.command.execution import run_flow, show_any
from zeropan.command.options import HOW, WHAT, Given, Json, Verbose, takes
from zeropan.command.setup import setup_of
from zeropan.request.places import Places


@takes(WHAT, HOW)
def evaluate(
    dataset: Annotated[
        str,
        typer.Argument(
            help="COCO-panoptic JSON, or a folder that holds annotations/panoptic*.json and images;"
            " or rendered scenes: scenes:N or scenes:SEED0-SEED1."
        ),
    ],
    given: Given,
    images: Annotated[
        str | None, typer.Option(help="Folder or URL of the data set's images.")
    ] = None,
    panoptic: Annotated[str | None, typer.Option(help="Folder of its panoptic PNGs.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure panoptic quality against a data set's truth; cached work is reused."""
    from zeropan.request.truth_sources import open_source

    setup = setup_of(given, with_words=False)
    open_source(
        dataset,
        Places.of(setup.how).home,
        images=images,
        panoptic=panoptic,
        limit=setup.how.limit,
        render=False,
    )
    report = run_flow(
        "evaluate",
        verbose,
        setup.how,
        dataset=dataset,
        images=images,
        panoptic=panoptic,
        setup=setup,
    )
    show_any(report, as_json)
