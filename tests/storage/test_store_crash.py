"""The store under SIGKILL, racing processes and a limit on file size, with real processes.

`python -m tests.storage.test_store_crash MODE STORE` is the process that the tests start. It
imports everything once and forks its writers, so that twenty deaths cost one start.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from zeropan.errors import StoreError
from zeropan.segmentation.records import StuffRegions
from zeropan.storage.keys import ArtifactKey, artifact_key
from zeropan.storage.store import ArtifactRef, ArtifactStore
from zeropan.storage.upkeep import entries, prune, verify

KILLS = 20
ROUNDS = 5
WRITERS = 4


def key(number: int) -> ArtifactKey:
    return artifact_key("stuff_regions", version=1, inputs={"n": number})


def record(number: int) -> StuffRegions:
    rng = np.random.default_rng(number)
    return StuffRegions(
        rng.integers(0, 9, (300, 200)).astype(np.int32), rng.random((300, 200)).astype(np.float16)
    )


def start(mode: str, store: Path) -> list[str]:
    """Run this file as a program; the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.test_store_crash", mode, str(store)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_no_moment_of_death_leaves_a_bad_marker(tmp_path: Path) -> None:
    start("killed", tmp_path)
    store = ArtifactStore(str(tmp_path))
    found = [check.status for check in verify(store)]
    # Most of a writer's time is between its first file and its marker, so some died there.
    assert "orphan" in found
    assert "damaged" not in found
    whole = {artifact.key for artifact in entries(store)}
    assert whole
    for number in range(KILLS * 1000):
        if key(number) in whole:
            stored = store.read(key(number), StuffRegions)
            np.testing.assert_array_equal(stored.label_map, record(number).label_map)
            whole.remove(key(number))
        if not whole:
            break
    assert not whole

    prune(store, grace_s=0)
    assert {check.status for check in verify(store)} == {"ok"}
    named = {store.path_of(artifact.key) for artifact in entries(store)}
    markers = {str(tmp_path / f"{artifact.key}.json") for artifact in entries(store)}
    for path in tmp_path.rglob("*"):
        if path.is_file() and str(path) not in markers:
            assert any(path.is_relative_to(folder) for folder in named), path


def test_racing_processes_agree_on_one_artifact(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in start("race", tmp_path)]
    assert len(lines) == ROUNDS * WRITERS
    store = ArtifactStore(str(tmp_path))
    for number in range(ROUNDS):
        refs = [ArtifactRef(**line["ref"]) for line in lines if line["round"] == number]
        found = store.find(key(number))
        assert found is not None and set(refs) == {found.ref}
        assert len(list((tmp_path / str(key(number))).iterdir())) == 1
    assert {check.status for check in verify(store)} == {"ok"}


def test_a_file_that_cannot_be_written_is_one_sentence_and_no_rubbish(tmp_path: Path) -> None:
    (line,) = start("full", tmp_path)
    assert "cannot write stuff_regions/" in line
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def fork(work: Callable[[], None]) -> int:
    """Do the work in a child process of its own; its id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def say(text: str) -> None:
    # One write of one line, so that lines of several processes do not mix.
    os.write(1, f"{text}\n".encode())


def wait_for(children: list[int]) -> None:
    for child in children:
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
            raise RuntimeError(f"child {child} failed with {status}")


def kill_writers(store: ArtifactStore) -> None:
    rng = random.Random(0)
    for death in range(KILLS):

        def write_for_ever(first: int = death * 1000) -> None:
            for number in range(first, first + 1000):
                store.write(key(number), record(number), provenance={"n": number})

        child = fork(write_for_ever)
        begun = Path(store.url) / str(key(death * 1000))
        limit = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < limit:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        wait_for([child])


def race_writers(store: ArtifactStore) -> None:
    for number in range(ROUNDS):
        begin, go = os.pipe()

        def write(seed: int, number: int = number, begin: int = begin, go: int = go) -> None:
            os.close(go)
            os.read(begin, 1)  # Returns in all of them at once, when the parent closes its end.
            ref = store.write(key(number), record(seed), provenance={})
            say(json.dumps({"round": number, "ref": asdict(ref)}))

        children = [fork(lambda seed=seed: write(seed)) for seed in range(WRITERS)]  # type: ignore[misc]
        os.close(begin)
        os.close(go)
        wait_for(children)


def write_too_much(store: ArtifactStore) -> None:
    def write() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        with pytest.raises(StoreError) as caught:
            store.write(key(0), record(0), provenance={})
        say(str(caught.value))

    wait_for([fork(write)])


MODES = {"killed": kill_writers, "race": race_writers, "full": write_too_much}

if __name__ == "__main__":
    # Imported here and not in the children; no thread may run yet when they are forked.
    import zarr  # noqa: F401

    MODES[sys.argv[1]](ArtifactStore(sys.argv[2]))
