"""One of each: who may run the chain, who may open leases, how many parameters a function has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.tree import ROOT

PACKAGES = ("flows", "tasks", "storage", "zeropan")
MOST_PARAMETERS = 9


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(("zeropan/flows", "zeropan/tasks", "zeropan/storage")):
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def importers(name: str) -> set[str]:
    """The files that import a name from another module."""
    return {
        file
        for file, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}
    }


def test_only_the_engine_runs_the_chain_and_reads_ahead() -> None:
    assert importers("run_chain") == {"flows/batch.py"}
    assert importers("read_ahead") == {"flows/batch.py"}
    assert importers("segment_batch") == {"flows/engine.py"}
    assert importers("segment_all") == {"flows/recording.py", "flows/sweep_images.py"}
    assert importers("FailureList") == {"flows/batch.py", "flows/engine.py"}


def test_only_the_rule_of_reuse_opens_leases() -> None:
    calls = {
        file
        for file, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "lease"
    }
    assert calls == {"tasks/reuse.py"}


def test_no_function_has_more_than_nine_parameters() -> None:
    many = {
        f"{file}:{node.name}": count
        for file, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (count := len(node.args.args) + len(node.args.kwonlyargs)) > MOST_PARAMETERS
    }
    # The public functions of the Python API are signatures for people, as commands' are.
    allowed = {"zeropan/api.py:segment", "zeropan/api.py:segment_many"}
    commands = {name for name in many if name.startswith("zeropan/command/")}
    assert set(many) - commands <= allowed, many
    assert len(commands) <= 1, commands


def test_files_and_folders_stay_small_enough_to_read() -> None:
    for package in PACKAGES:
        for folder in [ROOT / package, *(ROOT / package).rglob("*")]:
            if folder.is_dir() and not folder.is_symlink():
                assert len(list(Path(folder).glob("*.py"))) <= 20, folder
