"""zeropan track: what waits to be logged to MLflow."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from zeropan.command.execution import FOUND_FAULTS, show_home
from zeropan.command.options import Home
from zeropan.request.places import Places

app = typer.Typer(help="Runs that could not be logged to MLflow when they ran.")


@app.callback()
def _group() -> None:
    """Keep `flush` a command of its own."""


@app.command()
def flush(
    home: Home = None,
    all_runs: Annotated[
        bool,
        typer.Option("--all", help="Also runs that never ended, of processes that were killed."),
    ] = False,
) -> None:
    """Log what could not be logged while the tracking server was away."""
    from zeropan.tracking.spool import flush as send
    from zeropan.tracking.spool import unsent

    place = Places.resolve(home=home).home
    show_home(place)
    console = Console(soft_wrap=True, highlight=False)
    failed = False
    for sent in send(place, all_runs=all_runs):
        if sent.error:
            failed = True
            console.print(f"{sent.name}: {sent.calls} calls logged, then: {sent.error}")
        else:
            console.print(f"{sent.name}: logged as MLflow run {sent.run_id} ({sent.calls} calls)")
    left = len(unsent(place))
    console.print(f"{left} runs wait" if left else "nothing waits")
    if failed:
        raise typer.Exit(FOUND_FAULTS)
