"""Deployments of release 0.1 go on working: their parameters become a setup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from zeropan.request.setup_file import upgraded

F = TypeVar("F")

_OURS = {"sources", "setup", "run", "changes", "from_stage", "how", "dataset", "images", "panoptic"}


def takes_release_0_1(flow: F) -> F:
    """Let a flow of (…, setup) be given the parameters that it had in release 0.1.

    A deployment keeps its parameters on Prefect's server until `prefect deploy` is called anew.
    """
    validate: Callable[[dict[str, Any]], dict[str, Any]] = getattr(flow, "validate_parameters")  # noqa: B009

    def validate_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
        return validate(_today(parameters))

    setattr(flow, "validate_parameters", validate_parameters)  # noqa: B010
    return flow


def _today(parameters: dict[str, Any]) -> dict[str, Any]:
    old = {name: value for name, value in parameters.items() if name not in _OURS}
    if not old:
        return parameters
    kept = {name: value for name, value in parameters.items() if name in _OURS}
    return {**kept, "setup": upgraded(old)}
