"""What release 0.1.0 stored is read, and the runs it recorded can be run again and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import Zeropan, report_of
from tests.release_0_1_0 import unpacked
from zeropan.segmentation.records import (
    GroundedBoxes,
    ImageEmbedding,
    Panoptic,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
)
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import verify
from zeropan.tasks.work import STAGES

KINDS: dict[str, Any] = {
    "embed_image": ImageEmbedding,
    "ground_things": GroundedBoxes,
    "score_stuff": StuffLogits,
    "things": ThingMasks,
    "stuff_regions": StuffRegions,
    "stuff_masks": StuffMasks,
    "panoptic": Panoptic,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("old"))


def recorded(place: Path, which: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((place / "reports" / f"{which}.json").read_text())
    return report


def test_every_artifact_is_whole_and_reads_as_its_record(place: Path) -> None:
    store = ArtifactStore(str(place / "home" / "store"))
    assert {check.status for check in verify(store)} == {"ok"}
    stages = [key.stage for key, _ in store.markers()]
    assert set(stages) == set(STAGES) == set(KINDS)
    assert stages.count("panoptic") == 4
    for key, _ in store.markers():
        record = store.read(key, KINDS[key.stage])
        if isinstance(record, Panoptic):
            assert record.label_map.shape == (96, 128)
            assert record.label_map.dtype == np.int32


def test_its_artifacts_are_listed(place: Path, zeropan: Zeropan) -> None:
    listed = zeropan("store", "ls", "--home", place / "home", "--json")
    assert listed.returncode == 0
    keys = {one["key"] for one in json.loads(listed.stdout)}
    (image,) = recorded(place, "one")["images"]
    assert {f"{stage['stage']}/{stage['digest']}" for stage in image["stages"]} <= keys


def test_its_runs_are_compared(place: Path, zeropan: Zeropan) -> None:
    one, folder = (recorded(place, which)["tracking_run_id"] for which in ("one", "folder"))
    report = report_of(zeropan("compare", folder, one, "--home", place / "home", "--json"))
    assert report["parameters"] == {"things.box_threshold": ["0.9", "0.3"]}
    assert report["missing"] == []
    (image,) = report["images"]
    count_a, count_b = report["metrics"].get("count/things", (0, 0))
    change = image["change"]
    assert sum(change["gained"].values()) > 0, (count_a, count_b)
    assert len(report["only_a"]) == 2


def test_a_run_of_its_is_run_again_with_the_same_result(place: Path, zeropan: Zeropan) -> None:
    one = recorded(place, "one")
    again = report_of(zeropan("rerun", one["tracking_run_id"], "--home", place / "home", "--json"))
    assert again["rerun_of"] == one["tracking_run_id"]
    (image,) = again["images"]
    assert image["segments"] == one["images"][0]["segments"]
    # Keys are others now, so all is computed; arithmetic differs in the last digits at most.
    assert image["status"] == "computed"
    assert image["change"]["changed_pixels"] < 0.01
    old, new = one["tracking_run_id"], again["tracking_run_id"]
    report = report_of(zeropan("compare", old, new, "--home", place / "home", "--json"))
    assert report["parameters"] == {}
    assert report["images"][0]["change"]["relabelled"] == []


def test_a_folder_run_of_its_is_run_again(place: Path, zeropan: Zeropan) -> None:
    folder = recorded(place, "folder")
    changes = ("--set", "things.box_threshold=0.3")
    again = report_of(
        zeropan("rerun", folder["tracking_run_id"], *changes, "--home", place / "home", "--json")
    )
    assert (again["total"], again["failed"]) == (3, 0)
    assert again["changed"] == {"things.box_threshold": "0.9 → 0.3"}
    assert sum(sum(row["change"]["gained"].values()) for row in again["images"]) > 0
