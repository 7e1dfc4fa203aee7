"""The linked folders go by one name each, `zeropan.<folder>`; by another they load twice."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from tests.tree import LINKED, ROOT, copy_to, tracked

FORMER = (*LINKED, "models", "segmentation", "tracking", "evaluation", "scenes")
"""What release 0.1.0 put at the top level."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BANNED = PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]


def findings(folder: Path, *arguments: str) -> list[tuple[str, str]]:
    """(file, what ruff says) of each TID251."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json",
         *arguments, "."], cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return [
        (Path(found["filename"]).relative_to(folder.resolve()).as_posix(), found["message"])
        for found in json.loads(done.stdout)
        if found["code"] == "TID251"
    ]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_to(tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize("folder", LINKED)
def test_a_bare_import_is_reported_in_every_linked_folder(copy: Path, folder: str) -> None:
    planted = copy / folder / "planted.py"
    planted.write_text(
        '"""Planted."""\n\nimport os\n\n'
        + "".join(f"import {name}\nfrom {name}.inner import thing\n" for name in FORMER)
        + "\nHOME = os.environ.get('HOME')\nSHELL = os.getenv('SHELL')\n"
    )
    try:
        found = findings(copy)
    finally:
        planted.unlink()
    assert {file for file, _ in found} == {f"{folder}/planted.py"}
    said = [message for _, message in found]
    for name in FORMER:
        assert sum(f"import zeropan.{name}" in message for message in said) == 2, said
    assert sum("zeropan.machine.environment" in message for message in said) == 2, said


def test_tests_benchmarks_and_training_import_no_bare_name_either() -> None:
    """Their os.environ is their own, so the rule is off for them; this half of it is not."""
    assert set(BANNED) >= set(FORMER)
    rules = {name: BANNED[name] for name in FORMER}
    inline = ", ".join(
        f"{name} = {{msg = {json.dumps(rule['msg'])}}}" for name, rule in rules.items()
    )
    assert not findings(
        ROOT, "--isolated", "--select", "TID251",
        "--config", f"lint.flake8-tidy-imports.banned-api = {{{inline}}}",
    )  # fmt: skip


def entry_files() -> set[str]:
    """Files that Prefect loads by their paths."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return {one["entrypoint"].partition(":")[0] for one in deployments}


def test_entry_files_define_no_class() -> None:
    """Prefect loads them as a second copy, whose classes would not be the package's."""
    assert len(entry_files()) >= 4
    for file in entry_files():
        tree = ast.parse((ROOT / file).read_text())
        classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        assert not classes, f"{file} defines {classes}"


def test_no_file_beside_an_entry_file_is_named_like_a_library() -> None:
    """Prefect puts the folder of an entry file first on the path, for the whole process."""
    names = {path.stem for path in tracked(*{str(Path(file).parent) for file in entry_files()})}
    libraries = {name for name in packages_distributions() if name not in FORMER}
    assert names - {"__init__"} >= {Path(file).stem for file in entry_files()}
    assert not names & (sys.stdlib_module_names | libraries)


def test_linked_code_does_not_ask_where_it_lies() -> None:
    """A linked file has two paths, and its neighbours differ with the one that is asked."""
    askers = [str(path) for path in tracked(*LINKED) if "__file__" in (ROOT / path).read_text()]
    assert not askers


def test_links_are_kept_by_git() -> None:
    for folder in LINKED:
        assert (ROOT / "zeropan" / folder).is_symlink()
        assert (ROOT / "zeropan" / folder).readlink() == Path("..") / folder
