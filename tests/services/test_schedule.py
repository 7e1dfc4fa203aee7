"""docs/nightly.md, done for real on loopback: pool, deployment, worker, schedule, re-run."""

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

from tests.servers import (
    PREFECT,
    end_group,
    free_port,
    prefect_at,
    running,
    start_prefect,
    wait_for,
)
from zeropan.scenes.render import render_scene
from zeropan.tracking.search import runs_with_tag
from zeropan.tracking.settings import TrackingSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Prefect server and the environment of those who talk to it."""
    port = free_port()
    home = tmp_path / "prefect"
    # The server looks for due schedules every minute; a test cannot wait that long.
    with running(start_prefect(home, port, PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="2")):
        yield prefect_at(home, port) | {
            "ZEROPAN_HOME": str(tmp_path / "home"),
            # What another machine's worker has: the package, and not this folder on its path.
            "PYTHONPATH": str(ROOT),
        }


def prefect(*arguments: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        [*PREFECT, "--no-prompt", *arguments], env=os.environ | env, cwd=ROOT,
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ask(env: dict[str, str], path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        f"{env['PREFECT_API_URL']}/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.loads(response.read())


def runs_of(env: dict[str, str], flow: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(
        env, "flow_runs/filter", flows={"name": {"any_": [flow]}}, sort="EXPECTED_START_TIME_ASC"
    )
    return [run for run in found if run["state_type"] not in ("SCHEDULED", "PENDING", "RUNNING")]


WORDS = {"things": ["cup", "nigiri", "lemon"], "stuff": ["wood", "cloth"]}
NOW = {"setup": {"what": {"words": WORDS}}}
AS_IN_0_1 = {"categories": WORDS, "preset": "tiny", "config": {"things": {"box_threshold": 0.25}}}


def settings_for(folder: Path, inbox: Path, parameters: dict[str, Any]) -> Path:
    """prefect.yaml as a user changes it: a folder, words, and a schedule that is on."""
    text = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    (nightly,) = [one for one in text["deployments"] if one["name"] == "nightly"]
    nightly["parameters"] = {"sources": [str(inbox)], **parameters}
    # A deployment of release 0.1 has that release's schema, too.
    nightly["enforce_parameter_schema"] = "setup" in parameters
    nightly["schedules"][0] |= {"cron": "* * * * *", "active": True}
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(NOW, id="as it is now"),
        pytest.param(AS_IN_0_1, id="as release 0.1 deployed it", marks=pytest.mark.heavy),
    ],
)
def test_a_scheduled_run_starts_by_itself_and_is_run_again_with_another_threshold(
    parameters: dict[str, Any], place: dict[str, str], tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in range(2):
        Image.fromarray(render_scene(80 + number, height=96, width=128).image).save(
            inbox / f"{number}.png"
        )
    prefect("work-pool", "create", "zeropan", "--type", "process", env=place)
    settings = settings_for(tmp_path, inbox, parameters)
    prefect("deploy", "--all", "--prefect-file", str(settings), env=place)
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [*PREFECT, "worker", "start", "--pool", "zeropan"], env=os.environ | place,
            cwd=tmp_path, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(lambda: bool(runs_of(place, "run")), 300, f"a scheduled run; see {log}")
        first = runs_of(place, "run")[0]
        assert (first["state_type"], first["auto_scheduled"]) == ("COMPLETED", True), (
            log.read_text()
        )
        assert "2 of 2 images: 2 computed" in first["state"]["message"]
        home = Path(place["ZEROPAN_HOME"])
        assert len(list((home / "store" / "panoptic").glob("*.json"))) == 2

        (deployment,) = [
            one for one in ask(place, "deployments/filter") if one["name"] == "nightly"
        ]
        schedule = deployment["schedules"][0]["id"]
        prefect("deployment", "schedule", "pause", "run/nightly", schedule, env=place)

        prefect(
            "deployment", "run", "rerun/rerun", "--param", "run=latest",
            "--param", 'changes=["panoptic.min_stuff_area=0.3"]', env=place,
        )  # fmt: skip
        wait_for(lambda: bool(runs_of(place, "rerun")), 300, f"the re-run; see {log}")
        again = runs_of(place, "rerun")[0]
        assert again["state_type"] == "COMPLETED", log.read_text()
        tracking = TrackingSettings.resolve(default_directory=home)
        recorded = runs_with_tag(tracking, "zeropan.preset", "tiny")
        (changed,) = [run for run in recorded if "zeropan.rerun_of" in run.tags]
        assert "min_stuff_area" in changed.tags["zeropan.changed"]
        assert changed.metrics["run/computed"] == 2
    finally:
        end_group(worker)
