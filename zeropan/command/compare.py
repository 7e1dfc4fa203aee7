"""zeropan compare: two recorded runs, for a terminal, as JSON, and as a run of MLflow's."""

from __future__ import annotations

from typing import Annotated

import typer

from zeropan.command.execution import console, print_json, show_home
from zeropan.command.options import Experiment, Home, Json
from zeropan.request.places import Places


def compare(
    run_a: Annotated[str, typer.Argument(help="A run's id, the beginning of one, or latest.")],
    run_b: Annotated[str, typer.Argument(help="The same, for the other run.")] = "latest",
    home: Home = None,
    experiment: Experiment = None,
    output: Annotated[
        str | None, typer.Option(help="Folder of the pictures (default: below home).")
    ] = None,
    log: Annotated[bool, typer.Option(help="Log the comparison as a run of MLflow's.")] = True,
    as_json: Json = False,
) -> None:
    """Compare two recorded runs: parameters, metrics, and the segments of every shared image."""
    from zeropan.flows.compare import compare_runs, draw, log_comparison
    from zeropan.reports.comparison import render_comparison
    from zeropan.tracking.settings import TrackingSettings

    places = Places.resolve(home=home, output=output)
    settings = TrackingSettings.resolve(default_directory=places.home, experiment=experiment)
    if not as_json:
        show_home(places.home)
    comparison, pairs = compare_runs(settings, run_a, run_b)
    drawn = draw(comparison, pairs, places.output)
    if not as_json:
        render_comparison(comparison, console())
    if log:
        told = len(comparison.warnings)
        log_comparison(settings, places.home, comparison, drawn)
        if not as_json:
            for warning in comparison.warnings[told:]:
                console().print(f"warning   {warning}", soft_wrap=True, markup=False)
            if comparison.tracking_run_id:
                console().print(f"MLflow    run {comparison.tracking_run_id}", highlight=False)
    if as_json:
        print_json(comparison.model_dump(mode="json"))
