"""zeropan rerun: a recorded run with other parameters."""

from __future__ import annotations

from typing import Annotated

import typer

from zeropan.command.execution import run_flow, set_up_prefect, show_any
from zeropan.command.options import HOW, RETRY, Given, Json, Overrides, Verbose, takes
from zeropan.command.setup import how_of


@takes(HOW, RETRY, parameters=False)
def rerun(
    given: Given,
    run: Annotated[
        str, typer.Argument(help="An MLflow run's id, the beginning of one, or latest.")
    ] = "latest",
    set_: Overrides = None,
    from_stage: Annotated[
        str | None,
        typer.Option("--from", help="Compute this stage and those below it, stored or not."),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run a recorded run again with parameters changed; what they do not affect is cached."""
    how = how_of(given)
    set_up_prefect(verbose)
    from zeropan.flows.rerun_recorded import find, forced
    from zeropan.request.recorded import changed

    forced(from_stage)
    recorded = find(run, how)
    changes = list(set_ or [])
    changed(recorded.what, changes)
    report = run_flow(
        "rerun",
        verbose,
        how,
        run=recorded.run_id,
        changes=changes,
        from_stage=from_stage,
        how=how,
    )
    show_any(report, as_json)
