"""Servers that go away, a disk that is full, workers that race: the work is done, or resumable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.commands import report_of
from tests.servers import (
    free_port,
    prefect_at,
    running,
    start_mlflow,
    start_prefect,
    wait_for,
)
from zeropan.request.recorded import CONFIG_FILE
from zeropan.scenes.render import render_scene
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import verify
from zeropan.tasks.work import STAGES
from zeropan.tracking.search import read_file, runs_with_tag
from zeropan.tracking.settings import TrackingSettings
from zeropan.tracking.spool import unsent

WORDS = ["--things", "cup, nigiri, lemon", "--stuff", "wood, cloth"]
STUFF_WORDS = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(render_scene(60 + number, height=96, width=128).image).save(
            folder / f"{number}.png"
        )
    return folder


def begin(*arguments: str | Path, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zeropan", *map(str, arguments)],
        env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], timeout: float = 300) -> dict[str, Any]:
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    report: dict[str, Any] = json.loads(out)
    return report


def results_in(home: Path) -> int:
    return len(list((home / "store" / "panoptic").glob("*.json")))


def test_mlflow_down_at_the_start(
    folder: Path, tmp_path: Path, zeropan: Any, server: dict[str, str]
) -> None:
    home, runs, port = tmp_path / "home", tmp_path / "mlflow", free_port()
    env = server | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    report = report_of(zeropan("run", folder / "0.png", *WORDS, "--home", home, "--json", env=env))
    assert report["tracking_run_id"] is None
    assert any("zeropan track flush" in warning for warning in report["warnings"])
    assert results_in(home) == 1
    assert len(unsent(home)) == 1

    early = zeropan("track", "flush", "--home", home, env=env)
    assert early.returncode == 1
    assert "1 runs wait" in early.stdout

    with running(start_mlflow(runs, port)):
        flushed = zeropan("track", "flush", "--home", home, env=env)
        assert flushed.returncode == 0, flushed.stdout + flushed.stderr
        assert "nothing waits" in flushed.stdout
        run = the_run(runs, port)
        assert read_file(at(runs, port), run.run_id, CONFIG_FILE)
    assert not unsent(home)
    assert run.status == "FINISHED"
    assert run.params["preset"] == "tiny"
    assert run.metrics["cache/computed"] == len(STAGES)
    assert run.tags["prefect.flow_run_id"] == report["flow_run_id"]


def test_mlflow_going_down_in_the_middle(
    folder: Path, tmp_path: Path, zeropan: Any, server: dict[str, str]
) -> None:
    home, runs, port = tmp_path / "home", tmp_path / "mlflow", free_port()
    env = server | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    mlflow = start_mlflow(runs, port)
    try:
        process = begin("run", folder, *WORDS, "--home", home, "--json", env=env)
        wait_for(lambda: results_in(home) >= 1, 200, "a first result")
    finally:
        mlflow.kill()
    report = ended(process)
    assert (report["computed"], report["failed"]) == (5, 0)
    assert report["tracking_run_id"]
    assert results_in(home) == 5
    assert len(unsent(home)) == 1
    with running(start_mlflow(runs, port)):
        flushed = zeropan("track", "flush", "--home", home, env=env)
        assert flushed.returncode == 0, flushed.stdout + flushed.stderr
        run = the_run(runs, port)
        table = read_file(at(runs, port), run.run_id, "tables/images.jsonl")
    assert run.run_id == report["tracking_run_id"]
    assert run.status == "FINISHED"
    assert run.metrics["run/computed"] == 5
    assert len(table.splitlines()) == 5


def at(folder: Path, port: int) -> TrackingSettings:
    return TrackingSettings.resolve(default_directory=folder, uri=f"http://127.0.0.1:{port}")


def the_run(folder: Path, port: int) -> Any:
    (run,) = runs_with_tag(at(folder, port), "zeropan.preset", "tiny")
    return run


def test_the_prefect_server_restarted_in_the_middle(folder: Path, tmp_path: Path) -> None:
    home, place, port = tmp_path / "home", tmp_path / "prefect", free_port()
    first = start_prefect(place, port)
    process = begin("run", folder, *WORDS, "--home", home, "--json", env=prefect_at(place, port))
    try:
        wait_for(lambda: results_in(home) >= 1, 200, "a first result")
    finally:
        first.kill()
    with running(start_prefect(place, port)):
        report = ended(process)
    assert (report["computed"], report["failed"]) == (5, 0)
    assert results_in(home) == 5


def test_two_workers_on_one_image_compute_it_once(
    folder: Path, tmp_path: Path, server: dict[str, str]
) -> None:
    store = tmp_path / "store"
    both = [
        begin(
            "run", folder / "0.png", *WORDS, "--store", store, "--home", tmp_path / who, "--json",
            env=server,
        )
        for who in ("one", "other")
    ]  # fmt: skip
    reports = [ended(process) for process in both]
    computed = Counter(
        stage["stage"]
        for report in reports
        for stage in report["images"][0]["stages"]
        if stage["how"] == "computed"
    )
    assert computed == dict.fromkeys(STAGES, 1)
    one, other = (Path(report["images"][0]["panoptic_png"]).read_bytes() for report in reports)
    assert one == other
    assert not list((store / ".leases").glob("*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_one_sentence_and_loses_nothing(
    folder: Path, tmp_path: Path, zeropan: Any, small_disk: Path, server: dict[str, str]
) -> None:
    ballast = small_disk / "ballast"
    command = ["run", folder, *WORDS, "--store", small_disk / "store", "--home", tmp_path / "home"]
    ballast.write_bytes(bytes(5_000_000))
    full = zeropan(*command, env=server)
    assert full.returncode == 1, full.stdout + full.stderr
    (said,) = full.stderr.strip().splitlines()
    assert "No space left" in said and str(small_disk) in said
    store = ArtifactStore(str(small_disk / "store"))
    checked = list(verify(store))
    assert not [one for one in checked if one.status == "damaged"]
    kept = sum(one.status == "ok" for one in checked)
    assert kept >= 1

    ballast.unlink()
    report = report_of(zeropan(*command, "--json", env=server))
    assert report["computed"] >= 1
    assert (report["computed"] + report["cached"], report["failed"]) == (5, 0)
    artifacts = len(STAGES) - 1 + STUFF_WORDS
    assert sum(one.status == "ok" for one in verify(store)) == 5 * artifacts > kept
