"""Against a running `prefect server`: the flow, its history, its artifacts, the deployments."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.commands import report_of
from tests.servers import PREFECT
from zeropan.tasks.work import STAGES

ROOT = Path(__file__).parents[2]


def ask(url: str, path: str, body: bytes = b"{}") -> Any:
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
    runs = {run["id"]: run for run in ask(url, "flow_runs/filter")}
    assert runs[report["flow_run_id"]]["state"]["type"] == "COMPLETED"
    tasks = [
        task
        for task in ask(url, "task_runs/filter")
        if task["flow_run_id"] == report["flow_run_id"]
    ]
    assert sorted(task["state"]["type"] for task in tasks) == ["COMPLETED"] * (1 + len(STAGES))
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
    assert set(found) == {"nightly", "changed-thresholds", "rerun", "evaluate", "shard", "prune"}
    for deployment in found.values():
        (step,) = deployment["pull_steps"]
        assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(ROOT)
    assert [schedule["active"] for schedule in found["nightly"]["schedules"]] == [False]
    assert found["nightly"]["schedules"][0]["schedule"]["cron"] == "0 2 * * *"
    changed = found["changed-thresholds"]["parameters"]["setup"]["what"]["config"]
    assert changed["things"]["box_threshold"] == 0.25
    assert "box_threshold" in str(found["nightly"]["parameter_openapi_schema"])
    assert {name for name, one in found.items() if one["schedules"]} == {"nightly", "prune"}
    assert not any(schedule["active"] for schedule in found["prune"]["schedules"])
