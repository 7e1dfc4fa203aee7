"""`zeropan run` over folders and lists: incremental, with failures, with several workers."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zeropan.flows.ahead
import zeropan.tasks.pixels
from tests.commands import again, segment
from tests.faults.broken import broken_images
from zeropan.errors import TooManyFailures
from zeropan.scenes.render import render_scene
from zeropan.storage.seen import SETTLED_S
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import entries, verify
from zeropan.tasks.work import STAGES
from zeropan.tracking.search import read_file
from zeropan.tracking.settings import TrackingSettings

WORDS = {"things": ["cup", "nigiri", "lemon"], "stuff": ["wood", "cloth"]}
DISTINCT = 6


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("scenes")
    paths = [folder / f"{number}.png" for number in range(DISTINCT)]
    for number, path in enumerate(paths):
        Image.fromarray(render_scene(40 + number, height=96, width=128).image).save(path)
    return paths


def rows_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(report["table"]).read_text().splitlines()]


def how_many(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["computed"], report["cached"], report["failed"]


def test_two_hundred_images_of_which_twenty_are_broken_in_ten_ways(
    scenes: list[Path], tmp_path: Path, zeropan: Any
) -> None:
    folder = tmp_path / "in"
    for number in range(180):
        target = folder / f"day-{number % 7}" / f"{number:03}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scenes[number % DISTINCT], target)
    for twice in ("first", "second"):
        for name, data in broken_images().items():
            (folder / f"{twice}-{name}").write_bytes(data)
    command = [
        "run", folder, "--things", "cup,nigiri,lemon", "--stuff", "wood,cloth",
        "--home", tmp_path / "home", "--json", "--pictures", 2,
    ]  # fmt: skip
    finished = zeropan(*command)
    assert finished.returncode == 3, finished.stderr
    report = json.loads(finished.stdout)
    assert how_many(report) == (DISTINCT, 180 - DISTINCT, 20)
    reasons = {Path(one["image"]).name: one["reason"] for one in report["failures"]}
    assert set(reasons) == {f"{twice}-{name}" for twice in ("first", "second")
                            for name in broken_images()}  # fmt: skip
    for name, reason in reasons.items():
        assert name in reason and "\n" not in reason and "Traceback" not in reason
    assert "0 bytes" in reasons["first-empty.jpg"]
    assert "more than the limit" in reasons["first-bomb.png"]
    rows = rows_of(report)
    assert Counter(row["status"] for row in rows) == {
        "computed": DISTINCT, "cached": 180 - DISTINCT, "failed": 20,
    }  # fmt: skip
    assert all(Path(row["panoptic_png"]).exists() for row in rows if row["status"] != "failed")

    # MLflow has the counts, the table and the failures; the first images' steps are drawn.
    settings = TrackingSettings.resolve(default_directory=tmp_path / "home")
    table = json.loads(read_file(settings, report["tracking_run_id"], "tables/failures.json"))
    assert len(table["data"]) == 20
    logged = read_file(settings, report["tracking_run_id"], "tables/images.jsonl")
    assert len(logged.splitlines()) == 200

    # With fewer failures allowed the same is an error, in one sentence.
    strict = zeropan(*command, "--max-failures", 19)
    assert strict.returncode == 3
    assert json.loads(strict.stdout)["failed"] == 20
    assert "20 of" in strict.stderr and "more than the 19 allowed" in strict.stderr

    # Mended by their owner, they alone are taken up.
    for twice in ("first", "second"):
        for name in broken_images():
            Image.fromarray(render_scene(90, height=96, width=128).image).save(
                folder / f"{twice}-{name}"
            )
    retried = zeropan(*command, "--retry-failed")
    assert retried.returncode == 0, retried.stderr
    # One scene in four formats: four different files.
    assert how_many(json.loads(retried.stdout)) == (4, 16, 0)
    nothing = zeropan(*command, "--retry-failed")
    assert nothing.returncode == 0, nothing.stderr
    assert json.loads(nothing.stdout)["total"] == 0


def test_a_second_run_is_answered_from_the_store(scenes: list[Path], tmp_path: Path) -> None:
    first = segment([str(scenes[0].parent)], WORDS, home=str(tmp_path), pictures=0)
    assert how_many(first) == (DISTINCT, 0, 0)
    assert first["task_runs"] == 1 + DISTINCT * len(STAGES)
    second = segment([str(scenes[0].parent)], WORDS, home=str(tmp_path), pictures=0)
    assert how_many(second) == (0, DISTINCT, 0)
    assert second["task_runs"] == 1


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images whose bytes are read."""
    names: list[str] = []
    for module in (zeropan.flows.ahead, zeropan.tasks.pixels):

        def counted(location: str, read: Any = module.read_image_bytes) -> bytes:
            names.append(Path(location).name)
            return read(location)

        monkeypatch.setattr(module, "read_image_bytes", counted)
    return names


def test_images_that_did_not_change_are_not_read_again(
    scenes: list[Path], tmp_path: Path, reads: list[str]
) -> None:
    folder = shutil.copytree(scenes[0].parent, tmp_path / "in")
    time.sleep(SETTLED_S)
    home = str(tmp_path / "home")
    segment([str(folder)], WORDS, home=home, pictures=0)
    assert sorted(reads) == sorted(path.name for path in scenes)
    reads.clear()

    # One is replaced by another of the same size, one is new, one has a new name.
    old = (folder / "1.png").read_bytes()
    new = scenes[2].read_bytes().ljust(len(old), b" ")
    (folder / "1.png").write_bytes(new[: max(len(old), scenes[2].stat().st_size)])
    shutil.copy(scenes[3], folder / "new.png")
    (folder / "4.png").rename(folder / "renamed.png")
    second = segment([str(folder)], WORDS, home=home, pictures=0)
    assert sorted(reads) == ["1.png", "new.png", "renamed.png"]
    rows = {Path(row["image"]).name: row for row in rows_of(second)}
    assert rows["new.png"]["sha256"] == rows["3.png"]["sha256"]
    assert rows["1.png"]["sha256"] == hashlib.sha256((folder / "1.png").read_bytes()).hexdigest()
    reads.clear()

    # Another threshold wants what the models said, and no pixels.
    time.sleep(SETTLED_S)
    segment([str(folder)], WORDS, home=home, pictures=0)
    reads.clear()
    changed = segment(
        [str(folder)], WORDS, home=home, pictures=0, config={"things": {"box_threshold": 0.5}}
    )
    assert changed["computed"] and not changed["failed"]
    assert reads == []

    # Where the models' answers are damaged, the pixels are wanted after all.
    for chunk in (tmp_path / "home" / "store" / "embed_image").rglob("*"):
        if chunk.is_file() and "/c/" in str(chunk):
            chunk.write_bytes(b"")
    mended = segment(
        [str(folder)], WORDS, home=home, pictures=0, config={"things": {"box_threshold": 0.6}}
    )
    assert mended["mended"] and not mended["failed"]
    assert reads


def test_a_deleted_result_alone_is_computed_and_written_again(
    scenes: list[Path], tmp_path: Path
) -> None:
    first = segment([str(scenes[0].parent)], WORDS, home=str(tmp_path), pictures=0)
    row = rows_of(first)[2]
    shutil.rmtree(Path(row["panoptic_png"]).parent)
    store = ArtifactStore(first["store"])
    key = sorted(key for key, _ in store.markers() if key.stage == "panoptic")[0]
    marker = tmp_path / "store" / "panoptic" / f"{key.digest}.json"
    marker.unlink()
    repeated = segment([str(scenes[0].parent)], WORDS, home=str(tmp_path), pictures=0)
    assert how_many(repeated) == (1, DISTINCT - 1, 0)
    assert Path(row["panoptic_png"]).exists()


def test_without_task_runs_of_stages_the_store_is_the_cache(
    scenes: list[Path], tmp_path: Path, reads: list[str]
) -> None:
    folder = shutil.copytree(scenes[0].parent, tmp_path / "in")
    (folder / "cut-off.png").write_bytes(broken_images()["cut-off.png"])
    time.sleep(SETTLED_S)
    as_usual = segment([str(folder)], WORDS, home=str(tmp_path / "usual"), pictures=0)
    store = ArtifactStore(str(tmp_path / "few" / "store"))
    store.set_layout("zip")

    def once_more(**settings: Any) -> dict[str, Any]:
        return segment(
            [str(folder)], WORDS, home=str(tmp_path / "few"), pictures=0, task_runs="batches",
            **settings,
        )  # fmt: skip

    first = once_more()
    assert how_many(first) == how_many(as_usual) == (DISTINCT, 0, 1)
    assert first["task_runs"] == 1
    for mine, usual in zip(rows_of(first), rows_of(as_usual), strict=True):
        if mine["status"] != "failed":
            label_maps = [np.asarray(Image.open(row["panoptic_png"])) for row in (mine, usual)]
            assert np.array_equal(*label_maps)
    reads.clear()
    changed = once_more(config={"things": {"box_threshold": 0.5}})
    assert how_many(changed) == (DISTINCT, 0, 1)
    assert reads == ["cut-off.png"]
    assert how_many(once_more()) == (0, DISTINCT, 1)
    assert {artifact.files for artifact in entries(store)} == {1}
    assert {check.status for check in verify(store)} == {"ok"}


def test_a_changed_threshold_computes_no_perception(scenes: list[Path], tmp_path: Path) -> None:
    segment([str(scenes[0].parent)], WORDS, home=str(tmp_path), pictures=0)
    embeddings = len(list((tmp_path / "store" / "embed_image").glob("*.json")))
    changed = segment(
        [str(scenes[0].parent)], WORDS, home=str(tmp_path), pictures=0,
        config={"things": {"box_threshold": 0.5}},
    )  # fmt: skip
    assert how_many(changed) == (DISTINCT, 0, 0)
    assert len(list((tmp_path / "store" / "embed_image").glob("*.json"))) == embeddings


def test_a_run_over_a_folder_can_be_run_again_by_its_id(scenes: list[Path], tmp_path: Path) -> None:
    first = segment([str(scenes[0].parent)], WORDS, home=str(tmp_path), pictures=0, limit=2)
    second = again(
        first["tracking_run_id"], changes=["panoptic.min_stuff_area=0.3"], home=str(tmp_path)
    )
    assert len(second["images"]) == 2
    assert {stage["stage"] for image in second["images"] for stage in image["stages"]
            if stage["how"] == "computed"} == {"panoptic"}  # fmt: skip


@pytest.mark.parametrize(
    "runner", ["threads", "processes", pytest.param("dask", marks=pytest.mark.heavy)]
)
def test_runners_give_the_same_results(
    runner: Any, scenes: list[Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if runner == "dask":
        pytest.importorskip("prefect_dask")
    many = tmp_path / "in"
    many.mkdir()
    for number in range(40):
        shutil.copy(scenes[number % DISTINCT], many / f"{number:02}.png")
    plain = segment([str(many)], WORDS, home=str(tmp_path / "plain"), pictures=0)
    report = segment(
        [str(many)], WORDS, home=str(tmp_path / "home"), pictures=0, workers=2, runner=runner
    )
    # Two workers may ask for the same bytes at once; the lease lets one of them compute.
    assert report["computed"] + report["cached"] == 40
    assert report["failed"] == 0
    for one, other in zip(rows_of(plain), rows_of(report), strict=True):
        assert one["image"] == other["image"]
        with Image.open(one["panoptic_png"]) as a, Image.open(other["panoptic_png"]) as b:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_nothing_but_failures_is_a_failed_run(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, data in broken_images().items():
        (tmp_path / "in" / name).write_bytes(data)
    with pytest.raises(TooManyFailures, match="10 of 10 images failed, which is all of them"):
        segment([str(tmp_path / "in")], WORDS, home=str(tmp_path / "home"))
    # Taken up again, that they fail is no news.
    retried = segment([str(tmp_path / "in")], WORDS, home=str(tmp_path / "home"), retry_failed=True)
    assert how_many(retried) == (0, 0, 10)
