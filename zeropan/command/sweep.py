"""zeropan sweep: a grid of parameters over images, or over a data set with truth."""

from __future__ import annotations

from typing import Annotated

import typer

from zeropan.command.execution import console, print_json, run_flow, set_up_prefect
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
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS


def sweep(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Image files or URLs; or one data set with truth, as `zeropan eval` takes it.",
            metavar="IMAGE...|DATASET",
        ),
    ],
    grid: Annotated[
        list[str],
        typer.Option(help="One axis, such as things.box_threshold=0.2,0.3,0.4; may be repeated."),
    ],
    things: Annotated[str | None, typer.Option(help="As for `zeropan run`.")] = None,
    stuff: Annotated[str | None, typer.Option(help="As for `zeropan run`.")] = None,
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
    """Run every combination of parameter values; perception runs once, points are MLflow runs."""
    set_up_prefect(verbose)
    from zeropan.reports.sweep import SweepReport, render_sweep
    from zeropan.request.grid import parse_grid, points
    from zeropan.request.inputs import refer_to
    from zeropan.request.request import build_request, split_words
    from zeropan.request.truth_sources import is_dataset, open_source

    dataset = sources[0] if is_dataset(sources) else None
    known = None
    if dataset:
        place = Places.resolve(home=home).home
        known = open_source(dataset, place, limit=limit, render=False).categories
    request = build_request(
        things=split_words(things),
        stuff=split_words(stuff),
        categories=known,
        config_file=config,
        preset=preset,
        method=method,
        overrides=set_ or [],
    )
    points(request.config, parse_grid(grid))
    if not dataset:
        refer_to(sources, max_pixels=DEFAULT_MAX_PIXELS, decode=True)
    report = run_flow(
        "sweep",
        verbose,
        grid=grid,
        images=None if dataset else sources[:limit],
        categories=None if dataset else request.categories.model_dump(mode="json"),
        dataset=dataset,
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
        render_sweep(SweepReport.model_validate(report), console())
