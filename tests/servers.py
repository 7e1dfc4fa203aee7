"""Servers of other packages, started on loopback for a test and stopped again."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from zeropan.tracking.settings import TrackingSettings
from zeropan.tracking.ui import ui_command, ui_environment

PREFECT = [sys.executable, "-m", "prefect"]


_ports = itertools.count(random.SystemRandom().randrange(1000))


def free_port() -> int:
    """A port on loopback that nobody else is given.

    Each worker of a test session counts through a range of its own, below the ports that the
    system gives to whoever asks for any; so between this and the server's start nobody takes it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for number in _ports:
        port = 20_000 + 1000 * (worker % 10) + number % 1000
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is no port left")


class Server:
    """A process group that answers HTTP; `kill` ends it as a power cut would."""

    def __init__(
        self, command: list[str], env: Mapping[str, str], log: Path, health: str, patience: float
    ) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, env=os.environ | env, stdout=file, stderr=file, start_new_session=True
            )
        try:
            wait_for(lambda: answers(health), patience, f"{command[2]} at {health}; see {log}")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        end_group(self.process, signal.SIGKILL)

    def stop(self) -> None:
        end_group(self.process)


def end_group(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End a process that leads a group, and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def wait_for(seen: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)


def prefect_at(home: Path, port: int) -> dict[str, str]:
    """The environment of those who talk to the Prefect server on this port."""
    return {"PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}


def start_prefect(home: Path, port: int, **settings: str) -> Server:
    home.mkdir(parents=True, exist_ok=True)
    return Server(
        [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        {"PREFECT_HOME": str(home), **settings},
        home / "server.log",
        f"http://127.0.0.1:{port}/api/health",
        120,
    )


def start_mlflow(folder: Path, port: int) -> Server:
    """MLflow over the database and the artifacts of this folder, as `zeropan ui` starts it."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = TrackingSettings.resolve(default_directory=folder)
    return Server(
        ui_command(settings, port=port),
        ui_environment(),
        folder / "mlflow.log",
        f"http://127.0.0.1:{port}/health",
        120,
    )


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()
