from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zeropan.storage.background import wait_for

ROOT = Path(__file__).resolve().parents[2]


async def doubled(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def refused() -> None:
    raise KeyError("no such array")


def test_a_thread_that_runs_a_loop_may_wait() -> None:
    async def in_a_notebook() -> int:
        return wait_for(doubled(21))

    assert asyncio.run(in_a_notebook()) == 42


def test_many_threads_may_wait_at_once() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: wait_for(doubled(number)), range(100)))
    assert found == [2 * number for number in range(100)]


def test_what_the_coroutine_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="no such array"):
        wait_for(refused())


def test_a_forked_process_may_wait() -> None:
    # In a process of its own: this one has threads, and Python warns of forks from such.
    code = (
        "import os, warnings\n"
        "from tests.storage.test_background import doubled, wait_for\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "assert wait_for(doubled(1)) == 2\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(wait_for(doubled(3)))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("6\n", "")


def test_only_what_zarr_publishes_is_imported(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(
        "import zarr.core.sync\nfrom zarr.core.buffer import cpu\nfrom zarr._compat import x\n"
    )
    call = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--no-cache"]
    call += ["--config", str(ROOT / "pyproject.toml"), "--output-format", "concise"]
    found = subprocess.run([*call, str(planted)], capture_output=True, text=True, timeout=60)
    assert found.stdout.count("TID251") == 3, found.stdout + found.stderr
    clean = subprocess.run([*call, str(ROOT)], capture_output=True, text=True, timeout=60)
    assert "zarr" not in clean.stdout, clean.stdout
