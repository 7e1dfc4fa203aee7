"""What .ci/run relies on: a skip is told with its reason, and is a fault where that is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT

SKIPPED_FILE = """
import pytest
pytest.importorskip("a_package_that_is_nowhere")
def test_that_needs_it(): pass
"""
SKIPPED_TEST = """
import pytest
def test_that_cannot_run(): pytest.skip("the moon is too far")
"""
WELL = "def test_that_runs(): pass"
WORKERS = ("-p", "xdist", "-n", "1", "--dist", "loadfile")


def session(folder: Path, *options: str, strict: bool = True) -> subprocess.CompletedProcess[str]:
    """A session of pytest's over this folder, with none of the plugins that take seconds."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {
        "ZEROPAN_NO_SKIPS": "1" if strict else "",
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "tests.no_skips", "-p", "no:cacheprovider",
         f"--rootdir={folder}", "--config-file=/dev/null", *options, str(folder)],
        cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(params=["a file", "a test"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One test that runs, and a file or a test that is skipped."""
    (tmp_path / "test_well.py").write_text(WELL)
    skipped = SKIPPED_FILE if request.param == "a file" else SKIPPED_TEST
    (tmp_path / "test_skipped.py").write_text(skipped)
    return tmp_path


@pytest.mark.parametrize("options", [(), WORKERS], ids=["one process", "workers"])
def test_a_skip_is_told_and_is_a_fault(folder: Path, options: tuple[str, ...]) -> None:
    strict = session(folder, *options)
    assert strict.returncode == pytest.ExitCode.TESTS_FAILED, strict.stdout + strict.stderr
    assert "1 passed, 1 skipped" in strict.stdout
    assert "a_package_that_is_nowhere" in strict.stdout or "the moon is too far" in strict.stdout


def test_a_skip_is_no_fault_where_that_is_not_asked(folder: Path) -> None:
    assert session(folder, strict=False).returncode == pytest.ExitCode.OK


def test_without_a_skip_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "test_well.py").write_text(WELL)
    assert session(tmp_path).returncode == pytest.ExitCode.OK
