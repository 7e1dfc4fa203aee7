"""How a command runs a flow in its own process, and prints what came out."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from zeropan.errors import TooManyFailures
from zeropan.machine.environment import set_defaults

if TYPE_CHECKING:
    from zeropan.reports.run import RunReport
    from zeropan.request.setup import How

FLOWS = {
    "run": "run",
    "rerun": "rerun_recorded",
    "sweep": "sweep_grid",
    "evaluate": "evaluate_dataset",
}
"""Where each flow is; importing them takes seconds, so it waits until one is wanted."""
PREFECT_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # The temporary server makes its database first; on a busy machine 20 seconds are too few.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}
QUIET_PREFECT = {
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}
FOUND_FAULTS = 3
"""Exit code of a command whose work ended, but something failed or was found."""


def set_up_prefect(verbose: bool) -> None:
    """Prefect's settings for a command; call it before anything imports Prefect."""
    # Prefect reads these when it is imported; what the user has set stays.
    set_defaults(PREFECT_DEFAULTS)
    if not verbose:
        set_defaults(QUIET_PREFECT)


def run_flow(name: str, verbose: bool, how_: How, /, **parameters: Any) -> dict[str, Any]:
    """Run a flow in this process, with a progress bar on a terminal.

    Returns:
        Its report as plain values, also where too many of its images failed.
    """
    from zeropan.models.loading import resolve_device
    from zeropan.request.inputs import refuse_passwords
    from zeropan.request.places import Places

    # Before Prefect records the parameters, and before its server is started in vain.
    places = [parameters.get("sources") or (), parameters.get("images") or ()]
    for named in places:
        refuse_passwords([named] if isinstance(named, str) else named)
    Places.of(how_)
    resolve_device(how_.device)
    set_up_prefect(verbose)
    from zeropan.command.history import wait_for_history
    from zeropan.command.progress import progress_bar

    flow = getattr(importlib.import_module(f"zeropan.flows.{FLOWS[name]}"), name)
    with progress_bar(Console(stderr=True)):
        try:
            report: dict[str, Any] = flow(**parameters)
        except TooManyFailures as error:
            report = {**error.report, "failed_as_a_whole": str(error)}
        recorded = wait_for_history(report["flow_run_id"], report["task_runs"])
    if not recorded:
        report["warnings"].append("Prefect did not record every task run before the end")
    return report


def console() -> Console:
    """Where results are printed: as wide as the terminal, and wide enough where there is none."""
    return Console(width=None if sys.stdout.isatty() else 140)


def show_home(home: Path) -> None:
    """Say which home a command works in, since the usual one follows the working directory."""
    console().print(f"home      {home}", soft_wrap=True, highlight=False, markup=False)


def show_any(report: dict[str, Any], as_json: bool) -> None:
    """Print the report of whatever command made it."""
    from zeropan.reports.evaluation import EvalReport, render_evaluation
    from zeropan.reports.run import RunReport
    from zeropan.reports.sweep import SweepReport, render_sweep
    from zeropan.reports.terminal import render

    match report["command"]:
        case "evaluate":
            show(report, EvalReport, render_evaluation, as_json)
        case "sweep":
            show(report, SweepReport, render_sweep, as_json)
        case _:
            show(report, RunReport, render, as_json)


def show(
    report: dict[str, Any],
    kind: type[RunReport],
    render: Callable[[Any, Console], None],
    as_json: bool,
) -> None:
    """Print a report for a person, or as one JSON object; exit code 3 where images failed."""
    sentence = report.pop("failed_as_a_whole", None)
    if as_json:
        print_json(report)
    else:
        render(kind.model_validate(report), console())
    if sentence:
        sys.stderr.write(f"zeropan: {sentence}\n")
    if report["failed"]:
        raise typer.Exit(FOUND_FAULTS)


def print_json(value: Any) -> None:
    """Print plain values as one JSON object, for machines."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
