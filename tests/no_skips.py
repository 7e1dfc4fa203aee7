"""Where nothing is missing, a skipped test is a fault; the summary names it with its reason."""

from __future__ import annotations

import os

import pytest


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With ZEROPAN_NO_SKIPS set, a session that skipped anything has failed."""
    if os.environ.get("ZEROPAN_NO_SKIPS") and exitstatus == pytest.ExitCode.OK:
        # Workers have no reporter; the session that started them has all of their reports.
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and reporter.stats.get("skipped"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
