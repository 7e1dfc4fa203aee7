from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from zeropan.storage import lease as module
from zeropan.storage.files import Files, open_files
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.lease import FOLDER, lease

KEY = ArtifactKey("things", "0" * 32)
HOLDER = """
import sys, time
from zeropan.storage.files import open_files
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.lease import lease
with lease(open_files(sys.argv[1]), ArtifactKey("things", "0" * 32), done=lambda: False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["local", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    local = request.param == "local"
    return open_files(str(tmp_path / "store") if local else f"memory://lease-{tmp_path.name}")


def left(files: Files) -> list[str]:
    return [name for name, _, _ in files.walk(FOLDER)]


def test_the_second_waits_and_finds_the_work_done(files: Files) -> None:
    done = threading.Event()
    order = []

    def second() -> None:
        with lease(files, KEY, done=done.is_set) as ours:
            order.append(("second", ours))

    with lease(files, KEY, done=done.is_set) as ours:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append(("first", ours))
        done.set()
    thread.join(10)
    assert order == [("first", True), ("second", False)]
    assert left(files) == []


def test_a_holder_that_failed_leaves_the_work_to_the_next(files: Files) -> None:
    with pytest.raises(ValueError, match="mine"), lease(files, KEY, done=lambda: False):
        raise ValueError("mine")
    with lease(files, KEY, done=lambda: False) as ours:
        assert ours


def test_of_many_only_one_at_a_time_holds_it(files: Files) -> None:
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        with lease(files, KEY, done=lambda: False) as ours:
            assert ours
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 1


def test_a_killed_holder_of_this_machine_is_noticed_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    started = time.monotonic()
    with lease(open_files(str(tmp_path)), KEY, done=lambda: False) as ours:
        assert ours
    assert time.monotonic() - started < module.LEASE_S / 2


def test_a_silent_holder_of_another_machine_loses_its_lease(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.publish(
        f"{FOLDER}/{KEY.stage}-{KEY.digest}.json", b'{"holder": "elsewhere 1 x"}', replace=True
    )
    # The wall clock goes a year back and then a year forth: it is not asked.
    jumps = iter([-3.15e7, 3.15e7] * 1000)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + next(jumps))
    started = time.monotonic()
    with lease(files, KEY, done=lambda: False, lease_s=0.5) as ours:
        assert ours
    assert 0.5 <= time.monotonic() - started < 5


def test_a_renewed_lease_is_not_taken_over(files: Files) -> None:
    done = threading.Event()
    seen: list[bool] = []

    def second() -> None:
        with lease(files, KEY, done=done.is_set, lease_s=0.6) as ours:
            seen.append(ours)

    with lease(files, KEY, done=done.is_set, lease_s=0.6):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(2)
        assert seen == []
        done.set()
    thread.join(10)
    assert seen == [False]


def test_where_no_lease_can_be_written_the_work_is_done_all_the_same(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file where the folder would be")
    with lease(open_files(str(tmp_path)), KEY, done=lambda: False) as ours:
        assert ours
