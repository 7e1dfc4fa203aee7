"""A worker that gets the code by `git clone`, in an environment without zeropan."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.house.conftest import Environment, clean
from tests.servers import (
    PREFECT,
    end_group,
    free_port,
    prefect_at,
    running,
    start_prefect,
    wait_for,
)
from tests.tree import ROOT, copy_to
from zeropan.scenes.render import render_scene

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

POOL = "elsewhere"
ENTRYPOINTS = {"by-path": "flows/run.py:run", "by-module": "zeropan.flows.run.run"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Prefect server and the environment of those who talk to it."""
    port = free_port()
    with running(start_prefect(tmp_path / "prefect", port)):
        yield prefect_at(tmp_path / "prefect", port)


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """The URL of a bare repository with the tracked files of this one."""
    tree, bare = copy_to(tmp_path / "tree"), tmp_path / "zeropan.git"
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    for command in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "--all", "--force"],
        [*who, "commit", "--quiet", "--message", "As it is"],
        ["clone", "--quiet", "--bare", ".", str(bare)],
    ):
        subprocess.run(["git", *command], cwd=tree, check=True)
    return bare.as_uri()


def prefect(*arguments: str, env: dict[str, str]) -> None:
    done = subprocess.run(
        [*PREFECT, "--no-prompt", *arguments], env=os.environ | env, cwd=ROOT,
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def flow_runs(url: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{url}/flow_runs/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        found: list[dict[str, Any]] = json.load(response)
        return found


WORDS = {"things": ["cup", "lemon"], "stuff": ["wood"]}


def settings_for(folder: Path, repository: str, image: Path) -> Path:
    """prefect.yaml as a user changes it for workers that have no copy of the code."""
    text = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    (nightly,) = [one for one in text["deployments"] if one["name"] == "nightly"]
    nightly["work_pool"]["name"] = POOL
    nightly["schedules"] = []
    text["pull"] = [
        {"prefect.deployments.steps.git_clone": {"repository": repository, "branch": "main"}}
    ]
    text["deployments"] = [
        nightly
        | {
            "name": name,
            "entrypoint": entrypoint,
            "parameters": {
                "sources": [str(image)],
                "setup": {"what": {"words": WORDS}, "how": {"home": str(folder / name)}},
            },
        }
        for name, entrypoint in ENTRYPOINTS.items()
    ]
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


def test_a_worker_with_no_copy_of_the_code_clones_it(
    bare: Environment, place: dict[str, str], repository: str, tmp_path: Path
) -> None:
    nothing = bare.run("python", "-c", "import zeropan", cwd=tmp_path)
    assert "No module named 'zeropan'" in nothing.stderr
    image = tmp_path / "table.png"
    Image.fromarray(render_scene(80, height=96, width=128).image).save(image)
    prefect("work-pool", "create", POOL, "--type", "process", env=place)
    settings = settings_for(tmp_path, repository, image)
    prefect("deploy", "--all", "--prefect-file", str(settings), env=place)
    for name in ENTRYPOINTS:
        prefect("deployment", "run", f"run/{name}", env=place)

    elsewhere, log = tmp_path / "elsewhere", tmp_path / "worker.log"
    elsewhere.mkdir()
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [bare.python, "-m", "prefect", "worker", "start", "--pool", POOL],
            env=clean() | place, cwd=elsewhere, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(
            lambda: (
                not {run["state_type"] for run in flow_runs(place["PREFECT_API_URL"])}
                & {"SCHEDULED", "PENDING", "RUNNING"}
            ),
            600,
            f"the end of both runs; see {log}",
        )
    finally:
        end_group(worker)
    runs = flow_runs(place["PREFECT_API_URL"])
    assert [run["state_type"] for run in runs] == ["COMPLETED"] * len(ENTRYPOINTS), log.read_text()
    for run in runs:
        assert "1 of 1 images: 1 computed" in run["state"]["message"]
    for name in ENTRYPOINTS:
        assert len(list((tmp_path / name / "store" / "panoptic").glob("*.json"))) == 1
