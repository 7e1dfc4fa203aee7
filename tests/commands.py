from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.servers import free_port, prefect_at, running, start_prefect
from zeropan.scenes.render import render_scene

SCENE_SEED = 11
THINGS = ["nigiri", "maki", "cup", "plate", "bowl", "lemon", "tomato", "cookie"]
STUFF = ["wood", "cloth", "marble", "slate", "bamboo mat"]


@pytest.fixture(scope="session")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "tabletop.png"
    Image.fromarray(render_scene(SCENE_SEED).image).save(path)
    return path


@pytest.fixture(scope="session")
def zeropan() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the zeropan command in a process of its own."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "zeropan", *map(str, arguments)],
            env=os.environ | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def words() -> list[str]:
    return ["--things", ", ".join(THINGS), "--stuff", ", ".join(STUFF)]


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
