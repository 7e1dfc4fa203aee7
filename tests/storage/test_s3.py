"""A bucket of images and a store in a bucket, against an S3 server on loopback."""

from __future__ import annotations

import io
import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from tests.commands import report_of
from tests.faults.broken import broken_images
from tests.servers import free_port
from zeropan.scenes.render import render_scene
from zeropan.segmentation.records import Panoptic
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import verify
from zeropan.tasks.work import STAGES

s3fs = pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")

WORDS = ["--things", "cup, nigiri, lemon", "--stuff", "wood, cloth"]
STUFF_WORDS = 2
SECRET = "loopback-secret"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    from moto.moto_api import recorder

    # It writes into the current folder otherwise.
    monkeypatch.setattr(recorder, "_location", str(tmp_path / "requests"))
    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    server.start()
    try:
        # Its buckets live as long as this process does.
        urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/reset", data=b"").close()
        s3fs.S3FileSystem.clear_instance_cache()
        files = s3fs.S3FileSystem()
        files.mkdir("photos")
        for number in range(3):
            buffer = io.BytesIO()
            Image.fromarray(render_scene(70 + number, height=96, width=128).image).save(
                buffer, "PNG"
            )
            files.pipe(f"photos/inbox/day 1/{number}.png", buffer.getvalue())
        files.pipe("photos/inbox/broken.png", broken_images()["cut-off.png"])
        files.pipe("photos/inbox/readme.txt.bak", b"no image")
        yield files
    finally:
        server.stop()
        s3fs.S3FileSystem.clear_instance_cache()


def test_a_bucket_is_segmented_into_a_bucket(
    bucket: Any, tmp_path: Any, zeropan: Any, server: dict[str, str]
) -> None:
    command = [
        "run", "s3://photos/inbox", *WORDS, "--home", tmp_path, "--store", "s3://photos/store",
        "--json", "--pictures", 1,
    ]  # fmt: skip
    first = zeropan(*command, env=server)
    assert first.returncode == 3, first.stderr
    report = json.loads(first.stdout)
    assert (report["computed"], report["cached"], report["failed"]) == (3, 0, 1)
    assert report["failures"][0]["image"] == "s3://photos/inbox/broken.png"
    assert SECRET not in first.stdout + first.stderr

    bucket.invalidate_cache()
    assert len(bucket.glob("photos/store/panoptic/*.json")) == 3
    assert not bucket.glob("photos/store/.leases/*")
    store = ArtifactStore("s3://photos/store")
    checked = list(verify(store))
    assert [one.status for one in checked] == ["ok"] * 3 * (len(STAGES) - 1 + STUFF_WORDS)
    key = next(key for key, _ in store.markers() if key.stage == "panoptic")
    read = store.read(ArtifactKey(stage=key.stage, digest=key.digest), Panoptic)
    assert read.label_map.shape == (96, 128)

    buffer = io.BytesIO()
    Image.fromarray(render_scene(79, height=96, width=128).image).save(buffer, "PNG")
    bucket.pipe("photos/inbox/broken.png", buffer.getvalue())
    with requests() as sent:
        second = report_of(zeropan(*command, env=server))
    assert (second["computed"], second["cached"], second["failed"]) == (1, 3, 0)
    # What did not change is known from the bucket's listing.
    assert {one for one in sent if "inbox/" in one and not one.startswith("HEAD")} == {
        "GET /photos/inbox/broken.png"
    }
    bucket.pipe("photos/inbox/day 1/0.png", buffer.getvalue())
    with requests() as sent:
        third = report_of(zeropan(*command, env=server))
    assert (third["computed"], third["cached"], third["failed"]) == (0, 4, 0)
    rows = [json.loads(line) for line in Path(third["table"]).read_text().splitlines()]
    assert [row["sha256"] for row in rows].count(sha256(buffer.getvalue()).hexdigest()) == 2
    assert sum(one.startswith("GET /photos/inbox/") for one in sent) == 1


@contextmanager
def requests() -> Iterator[list[str]]:
    """What the server is asked while the block runs: methods and paths."""
    api = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/recorder"
    for action in ("reset-recording", "start-recording"):
        urllib.request.urlopen(f"{api}/{action}", data=b"").close()
    sent: list[str] = []
    yield sent
    urllib.request.urlopen(f"{api}/stop-recording", data=b"").close()
    with urllib.request.urlopen(f"{api}/download-recording") as answer:
        text = answer.read().decode()
    # Two threads of the server may write their entries into one line.
    decoder, place = json.JSONDecoder(), 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        one, place = decoder.raw_decode(text, place)
        sent.append(f"{one['method']} {unquote(urlsplit(one['url']).path)}")


def test_a_bucket_that_is_not_there_is_one_sentence(
    bucket: Any, tmp_path: Any, zeropan: Any, server: dict[str, str]
) -> None:
    finished = zeropan("run", "s3://nowhere/inbox", *WORDS, "--home", tmp_path, env=server)
    assert finished.returncode == 2
    (said,) = finished.stderr.strip().splitlines()
    assert "s3://nowhere/inbox" in said
