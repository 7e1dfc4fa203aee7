"""Every test runs with its own Prefect home, offline, and never touches the user's."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.commands", "tests.no_skips"]

# Prefect reads its environment when it is first imported, which is while tests are collected.
_HOME = tempfile.TemporaryDirectory(prefix="zeropan-tests-", ignore_cleanup_errors=True)
os.environ["PREFECT_HOME"] = str(Path(_HOME.name) / "prefect")
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# Workers of one session share the processors.
os.environ["OMP_NUM_THREADS"] = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"
for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "ZEROPAN_HOME", "ZEROPAN_STORE"):
    os.environ.pop(name, None)

# `make test` tries a few examples of each law, `make test-all` many.
settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("thorough", max_examples=300, deadline=None)
settings.load_profile("quick")

BARE_NAMES = {
    "flows", "tasks", "storage", "models", "segmentation", "tracking", "evaluation", "scenes",
}  # fmt: skip
"""What must be imported as `zeropan.<name>`; by these names a second copy is loaded."""


@pytest.fixture(scope="session", autouse=True)
def no_second_copy() -> Iterator[None]:
    """At the session's end: nothing was imported by a bare name."""
    yield
    assert not BARE_NAMES & sys.modules.keys()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test that Hypothesis draws for is a law."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("law")
