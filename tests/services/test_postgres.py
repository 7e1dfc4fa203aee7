"""Prefect's history in PostgreSQL, as more than one machine needs it; two workers, one data set."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.servers import (
    free_port,
    prefect_at,
    running,
    start_prefect,
)
from zeropan.scenes.render import render_scene

IMAGES = 6


def binaries() -> Path | None:
    """Where PostgreSQL's programs are: on the path, or where Debian puts them."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a new PostgreSQL database on loopback."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    place = tmp_path_factory.mktemp("postgres")
    port = free_port()
    user: dict[str, int | str] = {}
    if os.getuid() == 0:
        # PostgreSQL refuses to run as root; it gets a folder that its own user can reach.
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("there is no user to run PostgreSQL as")
        place = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
        os.chown(place, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid}
    data, log = place / "data", place / "log"
    control = [str(programs / "pg_ctl"), "-D", str(data), "-l", str(log), "-w"]
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "zeropan", "--auth=trust", "-E", "UTF8"],
            check=True, capture_output=True, cwd="/", **user,
        )  # fmt: skip
        options = f"-h 127.0.0.1 -p {port} -k {place} -c fsync=off"
        subprocess.run(
            [*control, "-o", options, "start"], check=True, cwd="/",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user,
        )  # fmt: skip
        subprocess.run(
            [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "zeropan", "prefect"],
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        yield f"postgresql+asyncpg://zeropan@127.0.0.1:{port}/prefect"
    finally:
        subprocess.run(
            [*control, "-m", "immediate", "stop"], check=False, capture_output=True, cwd="/", **user
        )
        if user:
            shutil.rmtree(place, ignore_errors=True)


@pytest.mark.heavy
def test_two_workers_share_a_store_and_a_server_on_postgresql(
    database: str, tmp_path: Path
) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    for number in range(IMAGES):
        Image.fromarray(render_scene(90 + number, height=96, width=128).image).save(
            inbox / f"{number}.png"
        )
    port, home = free_port(), tmp_path / "prefect"
    server = start_prefect(home, port, PREFECT_API_DATABASE_CONNECTION_URL=database)
    with running(server):
        workers = [
            subprocess.Popen(
                [
                    sys.executable, "-m", "zeropan", "run", str(inbox), "--things", "cup, lemon",
                    "--stuff", "wood", "--store", str(tmp_path / "store"), "--shuffle-seed", seed,
                    "--home", str(tmp_path / f"home-{seed}"), "--json", "--pictures", "0",
                ],
                env=os.environ | prefect_at(tmp_path / f"machine-{seed}", port),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for seed in ("1", "2")
        ]  # fmt: skip
        reports = []
        for worker in workers:
            out, err = worker.communicate(timeout=400)
            assert worker.returncode == 0, err
            reports.append(json.loads(out))
    assert [report["failed"] for report in reports] == [0, 0]
    rows = [
        json.loads(line)
        for report in reports
        for line in Path(report["table"]).read_text().splitlines()
    ]
    assert Counter(row["sha256"] for row in rows).most_common(1)[0][1] == 2
    assert len({row["sha256"] for row in rows}) == IMAGES
    stored = list((tmp_path / "store" / "panoptic").glob("*.json"))
    assert len(stored) == IMAGES
    # The history is in PostgreSQL, and not in a file of the server's.
    assert not list(home.glob("*.db"))
    history = subprocess.check_output(
        [binaries() / "psql", database.replace("+asyncpg", ""), "-tAc",  # type: ignore[operator]
         "select state_type, count(*) from flow_run group by 1"], text=True,
    )  # fmt: skip
    assert history.split() == ["COMPLETED|2"]
