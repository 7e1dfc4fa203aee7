"""What is imported is declared, and what is declared is pinned."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import PurePosixPath

from packaging.requirements import Requirement

from tests.tree import ROOT, installed, tracked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"zeropan", "training", "benchmarks", "tests"}
NOT_IMPORTED = {
    "fastapi": "held back for prefect's server",
    "sqlalchemy": "held back for prefect's and mlflow's tables",
}


def plain(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {plain(Requirement(line).name) for line in lines} - {"zeropan"}


def imported(files: Iterable[str | PurePosixPath]) -> dict[str, str]:
    """Distribution → a file that imports it."""
    names: dict[str, str] = {}
    for file in map(str, files):
        if not file.endswith(".py"):
            continue
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found = [node.module or ""]
            else:
                continue
            names |= {name.partition(".")[0]: file for name in found}
    known = packages_distributions()
    third_party = {name: file for name, file in names.items() if name not in OWN}
    # A module may come from several distributions; the declared one counts.
    everything = declared(*PROJECT["optional-dependencies"])
    result = {}
    for name, file in third_party.items():
        if name in sys.stdlib_module_names:
            continue
        owners = [plain(owner) for owner in known.get(name, [name])]
        result[next((owner for owner in owners if owner in everything), owners[0])] = file
    return result


def package_files() -> list[str]:
    return [str(file.relative_to(ROOT)) for file in installed().values()]


def test_what_the_package_imports_is_declared() -> None:
    found = imported(package_files())
    # groundingdino is imported by a name that is put together.
    assert "groundingdino" in (ROOT / "zeropan/models/grounding_dino/build.py").read_text()
    extra = found.keys() - declared("dask", "s3")
    assert not extra, {name: found[name] for name in extra}
    idle = declared() - found.keys() - {"groundingdino-py"}
    assert idle == NOT_IMPORTED.keys()


def test_what_only_an_extra_brings_is_imported_where_it_is_wanted() -> None:
    """Never at a file's top: without the extra the package must import."""
    optional = declared("dask", "s3") - declared()
    owners = packages_distributions()
    for file in package_files():
        if not file.endswith(".py"):
            continue
        for node in ast.parse((ROOT / file).read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                brought = {plain(one) for one in owners.get(name.partition(".")[0], [])}
                assert not brought & optional, f"{file} imports {name}"


def test_what_tests_benchmarks_and_training_import_is_declared() -> None:
    found = imported(tracked("tests", "benchmarks", "training"))
    extra = found.keys() - declared("dask", "s3", "dev")
    assert not extra, {name: found[name] for name in extra}


def test_constraints_pin_every_declared_distribution_and_say_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)]
    assert not wrong
    pinned = dict(line.split("==") for line in lines)
    assert len(pinned) == len(lines)
    pins = {plain(name): version for name, version in pinned.items()}
    for extra in PROJECT["optional-dependencies"]:
        for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]:
            wanted = Requirement(line)
            if wanted.name == "zeropan":
                continue
            assert plain(wanted.name) in pins, f"{wanted.name} is not in constraints.txt"
            assert wanted.specifier.contains(pins[plain(wanted.name)]), line
