"""zeropan eval: panoptic quality against a data set's truth."""

from __future__ import annotations

from typing import Annotated

import typer

from zeropan.command.execution import console, print_json, run_flow
from zeropan.command.options import (
    Config,
    Device,
    Experiment,
    Home,
    Json,
    Limit,
    MethodName,
    Overrides,
    Precision,
    Preset,
    RunName,
    Store,
    Verbose,
)
from zeropan.request.places import Places


def evaluate(
    dataset: Annotated[
        str,
        typer.Argument(
            help="COCO-panoptic JSON, or a folder that holds annotations/panoptic*.json and images;"
            " or rendered scenes: scenes:N or scenes:SEED0-SEED1."
        ),
    ],
    images: Annotated[
        str | None, typer.Option(help="Folder or URL of the data set's images.")
    ] = None,
    panoptic: Annotated[str | None, typer.Option(help="Folder of its panoptic PNGs.")] = None,
    limit: Limit = None,
    config: Config = None,
    preset: Preset = None,
    method: MethodName = None,
    set_: Overrides = None,
    home: Home = None,
    store: Store = None,
    experiment: Experiment = None,
    name: RunName = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure panoptic quality against a data set's truth; cached work is reused."""
    from zeropan.reports.evaluation import EvalReport, render_evaluation
    from zeropan.request.request import build_request
    from zeropan.request.truth_sources import open_source

    source = open_source(
        dataset,
        Places.resolve(home=home).home,
        images=images,
        panoptic=panoptic,
        limit=limit,
        render=False,
    )
    request = build_request(
        categories=source.categories,
        config_file=config,
        preset=preset,
        method=method,
        overrides=set_ or [],
    )
    report = run_flow(
        "evaluate",
        verbose,
        dataset=dataset,
        images=images,
        panoptic=panoptic,
        limit=limit,
        config=request.config,
        preset=request.preset,
        method=request.method,
        home=home,
        store=store,
        experiment=experiment,
        run_name=name,
        device=device,
        precision=precision,
    )
    if as_json:
        print_json(report)
    else:
        render_evaluation(EvalReport.model_validate(report), console())
