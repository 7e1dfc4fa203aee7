"""zeropan rerun: a recorded run with other parameters."""

from __future__ import annotations

from typing import Annotated

import typer

from zeropan.command.execution import run_flow, set_up_prefect, show
from zeropan.command.options import (
    Device,
    Experiment,
    Home,
    Json,
    Output,
    Overrides,
    Precision,
    RunName,
    Store,
    Verbose,
)
from zeropan.request.places import Places


def rerun(
    run: Annotated[
        str, typer.Argument(help="An MLflow run's id, the beginning of one, or latest.")
    ] = "latest",
    set_: Overrides = None,
    from_stage: Annotated[
        str | None,
        typer.Option("--from", help="Compute this stage and those below it, stored or not."),
    ] = None,
    home: Home = None,
    store: Store = None,
    output: Output = None,
    experiment: Experiment = None,
    name: RunName = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run a recorded run again with parameters changed; what they do not affect is cached."""
    set_up_prefect(verbose)
    from zeropan.flows.rerun_recorded import forced, prepare

    forced(from_stage)
    origin, _ = prepare(run, set_ or [], Places.resolve(home=home), experiment)
    report = run_flow(
        "rerun",
        verbose,
        run=origin.run_id,
        changes=set_ or [],
        from_stage=from_stage,
        home=home,
        store=store,
        output=output,
        experiment=experiment,
        run_name=name,
        device=device,
        precision=precision,
    )
    show(report, as_json)
