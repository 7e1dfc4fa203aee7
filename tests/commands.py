"""What tests share that run images: scenes, words, the command, the flows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.servers import free_port, prefect_at, running, start_prefect
from zeropan.command.main import main
from zeropan.flows.evaluate_dataset import evaluate
from zeropan.flows.rerun_recorded import rerun
from zeropan.flows.run import run
from zeropan.flows.sweep_grid import sweep
from zeropan.request.setup import How, Setup, What
from zeropan.request.setup_file import build_setup
from zeropan.scenes.render import render_scene

SCENE_SEED = 11
THINGS = ["nigiri", "maki", "cup", "plate", "bowl", "lemon", "tomato", "cookie"]
STUFF = ["wood", "cloth", "marble", "slate", "bamboo mat"]

Zeropan = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "tabletop.png"
    Image.fromarray(render_scene(SCENE_SEED).image).save(path)
    return path


@pytest.fixture(scope="session")
def zeropan() -> Zeropan:
    """Run the zeropan command within this process, which has Prefect and the models already.

    With an environment of its own it is a process of its own: Prefect reads its settings when it
    is imported.
    """

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        said = [str(argument) for argument in arguments]
        return within(said) if env is None else in_a_process(said, env, timeout)

    return run


def within(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    argv, environment = sys.argv, dict(os.environ)
    sys.argv = ["zeropan", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = argv
        # A command sets what Prefect reads; the next one is to find what its own process would.
        os.environ.clear()
        os.environ.update(environment)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def in_a_process(
    arguments: list[str], env: Mapping[str, str], timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zeropan", *arguments],
        env=os.environ | dict(env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture
def words() -> list[str]:
    return ["--things", ", ".join(THINGS), "--stuff", ", ".join(STUFF)]


def setup_of(words: Mapping[str, Sequence[Any]] | None = None, **said: Any) -> Setup:
    """A setup whose fields of both parts are given side by side."""
    what = {name: value for name, value in said.items() if name in What.model_fields}
    how = {name: value for name, value in said.items() if name in How.model_fields}
    assert set(said) == set(what) | set(how), said
    if hasattr(what.get("config"), "model_dump"):
        what["config"] = what["config"].model_dump()
    return build_setup(what=what | ({"words": words} if words is not None else {}), how=how)


def segment(
    images: Sequence[str | Path], words: Mapping[str, Sequence[Any]], **said: Any
) -> dict[str, Any]:
    """The flow `run`; its report."""
    report: dict[str, Any] = run([str(image) for image in images], setup_of(words, **said))
    return report


def again(
    run_id: str = "latest",
    changes: list[str] | None = None,
    from_stage: str | None = None,
    **how: Any,
) -> dict[str, Any]:
    """The flow `rerun`; its report."""
    report: dict[str, Any] = rerun(run_id, changes, from_stage, How(**how))
    return report


def measure(
    dataset: str, images: str | None = None, panoptic: str | None = None, **said: Any
) -> dict[str, Any]:
    """The flow `evaluate`; its report."""
    report: dict[str, Any] = evaluate(dataset, images, panoptic, setup_of(**said))
    return report


def swept(
    grid: list[str],
    images: list[str] | None = None,
    dataset: str | None = None,
    words: Mapping[str, Sequence[Any]] | None = None,
    **said: Any,
) -> dict[str, Any]:
    """The flow `sweep`; its report."""
    report: dict[str, Any] = sweep(grid, images, dataset, setup_of(words, **said))
    return report


def report_of(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert isinstance(report, dict)
    return report


def how(report: dict[str, Any], image: int = 0) -> dict[str, str]:
    """Stage → computed or cached, of one image of a report."""
    return {stage["stage"]: stage["how"] for stage in report["images"][image]["stages"]}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server on loopback; yields the environment that points to it."""
    home, port = tmp_path_factory.mktemp("server"), free_port()
    with running(start_prefect(home, port)):
        yield prefect_at(home, port)
