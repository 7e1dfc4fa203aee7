"""How a command runs a flow in its own process, and prints what came out."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from rich.console import Console

from zeropan.machine.environment import set_defaults
from zeropan.request.places import Places

FLOWS = {
    "run": "zeropan.flows.run",
    "segment_images": "zeropan.flows.segment_images",
    "rerun": "zeropan.flows.rerun_recorded",
    "sweep": "zeropan.flows.sweep_grid",
    "evaluate": "zeropan.flows.evaluate_dataset",
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


def set_up_prefect(verbose: bool) -> None:
    """Prefect's settings for a command; call it before anything imports Prefect."""
    # Prefect reads these when it is imported; what the user has set stays.
    set_defaults(PREFECT_DEFAULTS)
    if not verbose:
        set_defaults(QUIET_PREFECT)


def run_flow(name: str, verbose: bool, **parameters: Any) -> dict[str, Any]:
    """Run a flow in this process, with a progress bar on a terminal."""
    from zeropan.request.inputs import refuse_passwords

    # Before Prefect records the parameters, and before its server is started in vain.
    refuse_passwords(parameters.get("sources") or parameters.get("images") or ())
    Places.resolve(home=parameters.get("home"), store=parameters.get("store"))
    set_up_prefect(verbose)
    from zeropan.command.history import wait_for_history
    from zeropan.command.progress import progress_bar
    from zeropan.models.loading import resolve_device

    if "device" in parameters:
        resolve_device(parameters["device"])
    flow = getattr(importlib.import_module(FLOWS[name]), name)
    with progress_bar(Console(stderr=True)):
        report: dict[str, Any] = flow(**parameters)
        recorded = wait_for_history(report["flow_run_id"], report["task_runs"])
    if not recorded:
        report["warnings"].append("Prefect did not record every task run before the end")
    return report


def console() -> Console:
    """Where results are printed: as wide as the terminal, and wide enough where there is none."""
    return Console(width=None if sys.stdout.isatty() else 140)


def show(report: dict[str, Any], as_json: bool) -> None:
    """Print a report for a person, or as one JSON object."""
    from zeropan.reports.images import RunReport, render

    if as_json:
        print_json(report)
    else:
        render(RunReport.model_validate(report), console())


def print_json(report: dict[str, Any]) -> None:
    """Print a report as one JSON object, for machines."""
    sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
