"""A green run over one file is none: the files that mypy and import-linter see."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import grimp
import pytest

from tests.tree import ROOT, installed, tracked

pytestmark = pytest.mark.heavy


def sources() -> set[str]:
    """Python files of what is installed and of the training code."""
    names = {*installed(), *map(str, tracked("training"))}
    return {name for name in names if name.endswith(".py")}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_mypy_sees_every_file() -> None:
    done = run(sys.executable, "-m", "mypy", "--verbose")
    found = re.findall(r"BuildSource\(path='([^']+)'", done.stderr)
    # Folders without an __init__.py (of weights and curves) count as namespaces.
    seen = {str(Path(one).relative_to(ROOT)) for one in found if one.endswith(".py")}
    assert seen == sources()
    counted = re.search(r"no issues found in (\d+) source files", done.stdout)
    assert counted is not None
    assert int(counted[1]) == len(found) >= len(seen) > 150


def test_import_linter_sees_every_file() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    modules = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources()
    }
    # The graph is import-linter's own; its count of files has other packages' in it.
    graph = grimp.build_graph(*settings["root_packages"], cache_dir=None)
    assert graph.modules == modules
    done = run(Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache")
    counted = re.search(r"Analyzed (\d+) files", done.stdout)
    assert counted is not None
    assert int(counted[1]) >= len(modules) > 150
