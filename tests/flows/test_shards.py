"""A run of very many images, cut into runs of some: here with five images a shard."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from tests.commands import again, segment
from tests.servers import PREFECT, end_group, free_port, prefect_at, running, start_prefect
from zeropan.scenes.render import render_scene

ROOT = Path(__file__).parents[2]
WORDS = {"things": ["cup"], "stuff": ["wood"]}
IMAGES, SHARD = 12, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    for number in range(IMAGES):
        image = render_scene(70 + number, height=48, width=64).image
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return folder


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["computed"], report["cached"], report["failed"]


def test_shards_add_up_go_on_and_are_run_again(folder: Path, tmp_path: Path) -> None:
    home = str(tmp_path)
    # As a parent leaves it that was killed after its first shard.
    segment([str(folder)], WORDS, home=home, limit=SHARD, pictures=0)
    report = segment([str(folder)], WORDS, home=home, shard_size=SHARD, pictures=0)
    assert counts(report) == (IMAGES - SHARD, SHARD, 0)
    assert len(report["shards"]) == 3
    client = MlflowClient(report["tracking_uri"])
    for shard in report["shards"]:
        tags = client.get_run(shard).data.tags
        assert tags["mlflow.parentRunId"] == report["tracking_run_id"]

    part = again(report["shards"][2], ["panoptic.min_stuff_area=0.3"], home=home, pictures=0)
    assert part["total"] == IMAGES - 2 * SHARD
    whole = again(report["tracking_run_id"], ["panoptic.min_stuff_area=0.3"], home=home, pictures=0)
    assert (whole["total"], whole["failed"], len(whole["shards"])) == (IMAGES, 0, 3)
    assert whole["cached"] >= part["total"]


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_parent_in_a_pool_finishes_with_one_worker_of_one_run_and_with_two(
    workers: int, folder: Path, tmp_path: Path
) -> None:
    home, port = tmp_path / "prefect", free_port()
    with running(start_prefect(home, port)):
        env = os.environ | prefect_at(home, port) | {"PYTHONPATH": str(ROOT)}

        def prefect(*arguments: str) -> None:
            subprocess.run(
                [*PREFECT, "--no-prompt", *arguments], env=env, cwd=ROOT, check=True,
                capture_output=True, timeout=180,
            )  # fmt: skip

        prefect("work-pool", "create", "zeropan", "--type", "process")
        prefect("deploy", "--all")
        started = [
            subprocess.Popen(
                [*PREFECT, "worker", "start", "--pool", "zeropan", "--limit", "1"],
                env=env, cwd=tmp_path, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for _ in range(workers)
        ]  # fmt: skip
        setup = {
            "what": {"words": WORDS},
            "how": {
                "home": str(tmp_path / "home"), "shard_size": SHARD, "shards": "pool",
                "pictures": 0,
            },
        }  # fmt: skip
        try:
            import json

            done = subprocess.run(
                [
                    *PREFECT, "deployment", "run", "run/nightly", "--watch",
                    "--param", f"sources={json.dumps([str(folder)])}",
                    "--param", f"setup={json.dumps(setup)}",
                ],
                env=env, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False,
            )  # fmt: skip
        finally:
            for worker in started:
                end_group(worker)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "home" / "store" / "panoptic"
    assert len(list(results.glob("*.json"))) == IMAGES
