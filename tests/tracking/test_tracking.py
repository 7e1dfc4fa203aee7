"""Runs against a real SQLite store, read back with MLflow's own client."""

import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.servers import free_port
from zeropan.pictures.panels import PANELS
from zeropan.segmentation.config import PipelineConfig
from zeropan.tracking.client import REQUEST_DEFAULTS
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.names import component, image_key, name
from zeropan.tracking.runs import TrackedRun
from zeropan.tracking.settings import TrackingSettings
from zeropan.tracking.ui import VIEW_KEY, save_view, ui_command, ui_environment, view_link

ROOT = Path(__file__).parents[2]
ODD_WORDS = (
    "egg, fried (2)",
    "寿司",
    "a/b",
    "..",
    "50% off?",
    "crème 'brûlée'",
    "#1 & #2",
    "x" * 400,
)


@pytest.fixture(autouse=True)
def no_outer_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in list(os.environ):
        if key.startswith("MLFLOW_"):
            monkeypatch.delenv(key)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A blank and a percent sign are where addresses of files go wrong.
    return tmp_path_factory.mktemp("tracking") / "runs of 50%"


@pytest.fixture
def settings(directory: Path, request: pytest.FixtureRequest) -> TrackingSettings:
    """An experiment of its own in one shared database: creating the tables takes seconds."""
    return TrackingSettings.resolve(default_directory=directory, experiment=request.node.name)


def client_of(settings: TrackingSettings) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=settings.uri)


def test_what_is_logged_can_be_read_back(settings: TrackingSettings) -> None:
    run = TrackedRun.start(
        settings,
        name="sushi.jpg · box_threshold 0.3",
        tags={"prefect.flow_run_id": "abc", "note, odd": "x" * 9000},
        description="# Sushi",
    )
    run.log_parameters({**PipelineConfig().model_dump(), "words": {w: w for w in ODD_WORDS}})
    run.log_metrics({"count/things": 3, "quality/pq": float("nan")})
    run.log_metrics({name("count", word): i for i, word in enumerate(ODD_WORDS)}, step=2)
    run.log_dataset(name="sushi.jpg", digest="ab" * 32, source="sushi.jpg")
    run.set_tags({"image": "sushi"})
    run.finish("FINISHED")

    client = client_of(settings)
    read = client.get_run(run.run_id)
    assert read.info.status == "FINISHED" and read.info.experiment_id == run.experiment_id
    assert read.info.run_name == "sushi.jpg · box_threshold 0.3"
    assert read.data.params["things/box_threshold"] == str(PipelineConfig().things.box_threshold)
    assert read.data.params["words/寿司"] == "寿司"
    assert read.data.metrics["count/things"] == 3 and "quality/pq" not in read.data.metrics
    for i, word in enumerate(ODD_WORDS):
        assert read.data.metrics[name("count", word)] == i
    history = client.get_metric_history(run.run_id, name("count", "a/b"))
    assert [point.step for point in history] == [2]
    assert read.data.tags["mlflow.note.content"] == "# Sushi"
    assert read.data.tags["prefect.flow_run_id"] == "abc" and read.data.tags["image"] == "sushi"
    assert len(read.data.tags[component("note, odd")]) <= 8000
    (data,) = read.inputs.dataset_inputs
    assert data.dataset.name == "sushi.jpg" and data.dataset.digest == "ab" * 16


def test_pictures_lie_where_the_image_grid_looks(
    settings: TrackingSettings, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    pictures = {key: rng.integers(0, 255, (40, 600, 3), dtype=np.uint8) for key in PANELS}
    pictures["panels/寿司"] = pictures[PANELS[0]]
    run = TrackedRun.start(settings, name="pictures", tags={})
    run.log_pictures(pictures, step=3)
    run.log_pictures({})
    assert run.picture_address("panels/unknown") is None
    run.log_files({"panoptic.png": b"png", "more/a#b,c.json": b"{}"}, folder="result")
    run.finish("FINISHED")

    client = client_of(settings)
    assert client.get_run(run.run_id).data.tags["mlflow.loggedImages"] == "True"
    listed = [entry.path for entry in client.list_artifacts(run.run_id, "images")]
    assert len(listed) == 2 * len(pictures)
    for key, picture in pictures.items():
        stem = f"images/{image_key(key).replace('/', '~')}+step+3+timestamp+"
        (full,) = [p for p in listed if p.startswith(stem) and p.endswith(".png")]
        assert f"{full.removesuffix('.png')}+compressed.webp" in listed
        local = client.download_artifacts(run.run_id, full, str(tmp_path))
        assert np.array_equal(np.asarray(Image.open(local)), picture)
    files = {entry.path for entry in client.list_artifacts(run.run_id, "result")}
    assert files == {"result/more", "result/panoptic.png"}
    (odd,) = client.list_artifacts(run.run_id, "result/more")
    assert odd.path.isascii() and "#" not in odd.path and "," not in odd.path


def test_our_file_names_are_those_of_mlflow(settings: TrackingSettings) -> None:
    """The names are MLflow's inner business; a new version may change them."""
    picture = np.zeros((20, 30, 3), np.uint8)
    run = TrackedRun.start(settings, name="names", tags={})
    run.log_pictures({"panels/00 ours": picture}, step=1)
    client = client_of(settings)
    client.log_image(run.run_id, picture, key="panels/00 mlflow", step=1, synchronous=True)
    run.finish("FINISHED")

    def pattern(path: str) -> str:
        path = path.replace("ours", "KEY").replace("mlflow", "KEY")
        return re.sub(r"\+[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "+UUID",
                      re.sub(r"\+\d{13}\+", "+TIME+", path))  # fmt: skip

    listed = [entry.path for entry in client.list_artifacts(run.run_id, "images")]
    patterns = sorted(pattern(path) for path in listed)
    assert len(patterns) == 4 and len(set(patterns)) == 2, patterns


_START = """
import sys
from pathlib import Path
from zeropan.tracking.runs import TrackedRun
from zeropan.tracking.settings import TrackingSettings
settings = TrackingSettings.resolve(default_directory=Path(sys.argv[1]), experiment="race")
run = TrackedRun.start(settings, name=sys.argv[2], tags={})
run.log_metrics({"count/things": 1.0})
run.finish("FINISHED")
print(run.experiment_id)
"""


def test_four_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    def start(number: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", _START, str(tmp_path / "new"), f"run {number}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120, check=False
        )

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(start, range(4)))
    assert [process.returncode for process in done] == [0] * 4, done
    assert len({process.stdout for process in done}) == 1
    # Creating the tables is no news to the user.
    assert all("INFO" not in process.stderr for process in done), done
    found = TrackingSettings.resolve(default_directory=tmp_path / "new", experiment="race")
    client = client_of(found)
    runs = client.search_runs([done[0].stdout.strip()])
    assert {run.info.run_name for run in runs} == {f"run {i}" for i in range(4)}
    assert all(run.info.status == "FINISHED" for run in runs)


def test_threads_may_share_a_run(settings: TrackingSettings) -> None:
    run = TrackedRun.start(settings, name="threads", tags={})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: run.log_metrics({f"seconds/{i}": i}), range(12)))
    run.finish("FINISHED")
    assert len(client_of(settings).get_run(run.run_id).data.metrics) == 12


def test_the_environment_is_left_as_it_was(
    settings: TrackingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    TrackedRun.start(settings, name="environment", tags={}).finish("FINISHED")
    after = dict(os.environ)
    for key in REQUEST_DEFAULTS:
        assert after.get(key) == before.get(key)


def test_nobodys_active_run_is_touched(settings: TrackingSettings) -> None:
    import mlflow

    uri = mlflow.get_tracking_uri()
    run = TrackedRun.start(settings, name="explicit", tags={})
    assert mlflow.active_run() is None and mlflow.get_tracking_uri() == uri
    run.finish("KILLED")
    assert client_of(settings).get_run(run.run_id).info.status == "KILLED"


def test_a_server_that_is_down_costs_seconds(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        down = TrackingSettings.resolve(default_directory=tmp_path, uri=address)
        began = time.monotonic()
        with pytest.raises(TrackingError, match=f"could not start a run at {address}"):
            TrackedRun.start(down, name="nowhere", tags={})
    assert time.monotonic() - began < 20


def test_a_deleted_experiment_is_named(settings: TrackingSettings) -> None:
    run = TrackedRun.start(settings, name="first", tags={})
    run.finish("FINISHED")
    client_of(settings).delete_experiment(run.experiment_id)
    with pytest.raises(TrackingError, match="mlflow experiments restore"):
        TrackedRun.start(settings, name="second", tags={})


def test_a_value_is_set_once_for_all(settings: TrackingSettings) -> None:
    run = TrackedRun.start(settings, name="params", tags={})
    run.log_parameters({"method": "default"})
    with pytest.raises(TrackingError, match="log parameters"):
        run.log_parameters({"method": "reference"})
    run.finish("FAILED")


def test_settings_prefer_the_caller_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    default = TrackingSettings.resolve(default_directory=Path("data"))
    assert default.uri == f"sqlite:///{tmp_path}/data/mlflow.db"
    assert default.artifact_directory == tmp_path / "data" / "mlartifacts"
    assert default.experiment == "zeropan"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000/")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    outer = TrackingSettings.resolve(default_directory=tmp_path)
    assert outer == TrackingSettings("http://localhost:5000", "mine")
    assert outer.database is None and outer.artifact_directory is None
    said = TrackingSettings.resolve(
        default_directory=tmp_path, uri="sqlite:///runs.db", experiment="said"
    )
    assert said == TrackingSettings(f"sqlite:///{tmp_path}/runs.db", "said")


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "sqlite:///:memory:", "sqlite://"])
def test_uris_that_would_lose_runs_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(TrackingError, match=r"sqlite:///runs/mlflow\.db"):
        TrackingSettings.resolve(default_directory=tmp_path, uri=uri)


def test_the_saved_view_shows_every_panel(settings: TrackingSettings) -> None:
    experiment_id = save_view(settings, PANELS)
    tags = client_of(settings).get_experiment(experiment_id).tags
    saved = json.loads(tags[f"mlflow.sharedViewState.{VIEW_KEY}"])
    packed = saved["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(b64decode(packed)))
    result, steps = [chart for chart in state["compareRunCharts"] if chart["type"] == "IMAGE"]
    assert result["imageKeys"] == ["panels/07 overlay"]
    assert steps["imageKeys"] == list(PANELS) and steps["showRunParams"] is False
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
    link = view_link("http://localhost:5000/", experiment_id)
    assert link == (
        f"http://localhost:5000/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
        f"&compareRunsMode=CHART&viewStateShareKey={VIEW_KEY}"
    )


def test_a_server_needs_no_ui_of_its_own() -> None:
    with pytest.raises(TrackingError, match="is a server itself"):
        ui_command(TrackingSettings("http://localhost:5000"))


def test_the_ui_shows_runs_and_pictures(settings: TrackingSettings) -> None:
    picture = np.full((30, 40, 3), 200, np.uint8)
    run = TrackedRun.start(settings, name="seen in the UI", tags={})
    run.log_pictures({"panels/07 overlay": picture})
    run.finish("FINISHED")
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        ui_command(settings, port=port),
        env={**os.environ, **ui_environment()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"{base}/health")
        request = urllib.request.Request(
            f"{base}/api/2.0/mlflow/runs/search",
            json.dumps({"experiment_ids": [run.experiment_id]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            names = [r["info"]["run_name"] for r in json.load(answer)["runs"]]
        assert names == ["seen in the UI"]
        address = run.picture_address("panels/07 overlay")
        with urllib.request.urlopen(f"{base}{address}", timeout=20) as answer:
            shown = np.asarray(Image.open(io.BytesIO(answer.read())))
        assert np.array_equal(shown, picture)
        assert run.url(base).startswith(f"{base}/#/experiments/{run.experiment_id}/runs/")
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
