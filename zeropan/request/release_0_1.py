"""Deployments of release 0.1 go on working: their parameters become a setup."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from zeropan.machine.environment import environment
from zeropan.request.parameters import validated
from zeropan.request.setup import Setup
from zeropan.request.setup_file import upgraded

PARAMETERS = (
    "categories", "config", "preset", "method", "home", "store", "output", "experiment", "run_name",
    "device", "precision", "max_pixels", "workers", "runner", "task_runs", "limit", "shuffle_seed",
    "max_failures", "retry_failed", "pictures",
)  # fmt: skip
"""What the flow `run` took in release 0.1, besides its sources."""


def takes_release_0_1(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a flow's function (sources, setup) be given the parameters that it had in release 0.1.

    A deployment keeps its parameters on Prefect's server until `prefect deploy` is called anew, and
    Prefect compares them with the function's signature before it calls anything of ours. So the old
    names are a part of the signature, but only in a process that works on a deployed run: forms and
    new deployments never show them.
    """
    if environment().flow_run is None:
        return function
    own = inspect.signature(function, eval_str=True)

    def run(sources: list[str], setup: Setup | None = None, **old: Any) -> Any:
        said = {name: value for name, value in old.items() if value is not None}
        content = setup.model_dump() if setup is not None else {}
        for part, values in upgraded(said).items() if said else ():
            given = {name: value for name, value in values.items() if value != {}}
            content[part] = {**content.get(part, {}), **given}
        return function(sources, validated(Setup, content))

    first, second = own.parameters.values()
    legacy = [
        inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Any
        )
        for name in PARAMETERS
    ]
    optional = second.replace(default=None, annotation=Setup | None)
    run.__signature__ = own.replace(parameters=[first, optional, *legacy])  # type: ignore[attr-defined]
    run.__name__, run.__qualname__ = function.__name__, function.__qualname__
    run.__doc__, run.__module__ = function.__doc__, function.__module__
    return run
