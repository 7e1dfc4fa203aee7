"""Against a running `prefect server`: the flow, its history, its artifacts, the deployments."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.work import STAGES
from tests.integration.conftest import report_of

ROOT = Path(__file__).parents[2]
PREFECT = [sys.executable, "-m", "prefect"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server on loopback; yields the environment that points to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("server")
    env = {"PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | {"PREFECT_HOME": str(home)},
            stdout=log,
            stderr=log,
        )
        try:
            wait_until_healthy(env["PREFECT_API_URL"])
            yield env
        finally:
            process.terminate()
            process.wait(30)


def wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the server did not become healthy")


def ask(url: str, path: str, body: bytes = b"{}") -> Any:
    import json

    request = urllib.request.Request(
        f"{url}/{path}", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.loads(response.read())


def test_a_run_leaves_history_and_artifacts_on_the_server(
    server: dict[str, str], scene_file: Path, words: list[str], tmp_path: Path, zeropan: Any
) -> None:
    report = report_of(zeropan("run", scene_file, *words, "--home", tmp_path, "--json", env=server))
    url = server["PREFECT_API_URL"]
    runs = ask(url, "flow_runs/filter")
    assert [run["id"] for run in runs] == [report["flow_run_id"]]
    assert runs[0]["state"]["type"] == "COMPLETED"
    tasks = ask(url, "task_runs/filter")
    assert sorted(task["state"]["type"] for task in tasks) == ["COMPLETED"] * len(STAGES)
    artifacts = {artifact["key"] for artifact in ask(url, "artifacts/filter")}
    assert {"zeropan-stages", "zeropan-overlay"} <= artifacts


def test_the_deployments_are_accepted(server: dict[str, str]) -> None:
    env = os.environ | server
    subprocess.run(
        [*PREFECT, "work-pool", "create", "zeropan", "--type", "process"], env=env, check=True,
        capture_output=True, timeout=120,
    )  # fmt: skip
    deployed = subprocess.run(
        [*PREFECT, "--no-prompt", "deploy", "--all"], env=env, cwd=ROOT, capture_output=True,
        text=True, timeout=180, check=False,
    )  # fmt: skip
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    found = {d["name"]: d for d in ask(server["PREFECT_API_URL"], "deployments/filter")}
    assert set(found) == {"nightly", "changed-thresholds"}
    for deployment in found.values():
        (step,) = deployment["pull_steps"]
        assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(ROOT)
    assert [schedule["active"] for schedule in found["nightly"]["schedules"]] == [False]
    assert found["nightly"]["schedules"][0]["schedule"]["cron"] == "0 2 * * *"
    changed = found["changed-thresholds"]["parameters"]["config"]
    assert changed["things"]["box_threshold"] == 0.25
    assert "box_threshold" in str(found["nightly"]["parameter_openapi_schema"])
