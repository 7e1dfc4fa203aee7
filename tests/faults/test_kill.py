"""SIGKILL in every stage: the next run resumes, and no damaged artifact is ever read."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import STUFF, THINGS, how, segment
from zeropan.segmentation.records import Panoptic
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import prune, verify
from zeropan.tasks.work import STAGES

MOMENTS = ("computing", "publishing")


def run(image: Path, home: Path) -> dict[str, Any]:
    return segment(images=[str(image)], words={"things": THINGS, "stuff": STUFF}, home=str(home))


def label_map(report: dict[str, Any]) -> Any:
    last = report["images"][0]["stages"][-1]
    key = ArtifactKey(stage=last["stage"], digest=last["digest"])
    return ArtifactStore(report["store"]).read(key, Panoptic).label_map


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, scene_file: Path) -> dict[str, Any]:
    return run(scene_file, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    "stage",
    [
        stage
        if stage in (STAGES[0], "things", STAGES[-1])
        else pytest.param(stage, marks=pytest.mark.heavy)
        for stage in STAGES
    ],
)
def test_a_killed_run_is_resumed(
    stage: str,
    scene_file: Path,
    tmp_path: Path,
    whole: dict[str, Any],
    server: dict[str, str],
) -> None:
    # The two moments share one process start each and one home: what the first leaves behind is
    # part of what the second meets.
    home = tmp_path / "home"
    for moment in MOMENTS:
        killed = subprocess.run(
            [sys.executable, "-m", "tests.faults.killed_run", stage, moment,
             str(scene_file), str(home)],
            # A killed process would leave a temporary server of its own behind.
            env=os.environ | server,
            capture_output=True,
            timeout=300,
            check=False,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    store = ArtifactStore(str(home / "store"))
    assert all(result.status != "damaged" for result in verify(store))

    resumed = run(scene_file, home)
    before = STAGES.index(stage)
    assert how(resumed) == {
        name: "cached" if number < before else "computed" for number, name in enumerate(STAGES)
    }
    np.testing.assert_array_equal(label_map(resumed), label_map(whole))
    prune(store, grace_s=0)
    assert all(result.status == "ok" for result in verify(store))


def files_of(store: Path, stage: str) -> list[Path]:
    return sorted(path for path in (store / stage).rglob("*") if path.is_file())


def flip_a_bit(store: Path, stage: str) -> None:
    biggest = max(files_of(store, stage), key=lambda path: path.stat().st_size)
    data = bytearray(biggest.read_bytes())
    data[len(data) // 2] ^= 1
    biggest.write_bytes(data)


def cut_the_metadata(store: Path, stage: str) -> None:
    (path,) = (store / stage).glob("*/*/zarr.json")
    path.write_bytes(path.read_bytes()[:100])


def cut_the_marker(store: Path, stage: str) -> None:
    (path,) = (store / stage).glob("*.json")
    path.write_bytes(path.read_bytes()[:-40])


def delete_the_marker(store: Path, stage: str) -> None:
    (path,) = (store / stage).glob("*.json")
    path.unlink()


@pytest.mark.parametrize(
    ("stage", "damage"),
    [(stage, flip_a_bit) for stage in STAGES]
    + [("things", cut_the_metadata), ("things", cut_the_marker), ("things", delete_the_marker)],
)
def test_a_damaged_artifact_is_computed_again_and_reported(
    stage: str,
    damage: Callable[[Path, str], None],
    scene_file: Path,
    tmp_path: Path,
    whole: dict[str, Any],
) -> None:
    home = tmp_path / "home"
    shutil.copytree(whole["store"], home / "store")
    damage(home / "store", stage)
    mended = run(scene_file, home)
    assert how(mended) == {name: "computed" if name == stage else "cached" for name in STAGES}
    np.testing.assert_array_equal(label_map(mended), label_map(whole))
    reported = [one["stage"] for one in mended["images"][0]["stages"] if one["mended"]]
    # What has no marker is not damaged, it is not there.
    assert reported == ([] if damage is delete_the_marker else [stage])


def test_a_deleted_store_only_costs_work(
    scene_file: Path, tmp_path: Path, whole: dict[str, Any]
) -> None:
    home = tmp_path / "home"
    run(scene_file, home)
    shutil.rmtree(home / "store")
    again = run(scene_file, home)
    assert set(how(again).values()) == {"computed"}
    np.testing.assert_array_equal(label_map(again), label_map(whole))
