"""What could not be logged: kept on this machine's disk, in order, and sent later.

A folder for each run below <home>/unsent, with one folder for each call that could not be made:

    run.json            settings, name and tags; the run's id once there is one
    000000/call.json    a call and its arguments; pictures and files lie beside it
    ended               the run has ended; nothing more will come

Sending makes the calls in order and removes each when it has succeeded, so that one that is
interrupted goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from zeropan.machine.environment import environment
from zeropan.machine.files import write_whole
from zeropan.pictures.encoding import EncodedPicture, encoded
from zeropan.segmentation.images import shown
from zeropan.segmentation.records import UInt8
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.runs import Status, TrackedRun
from zeropan.tracking.settings import TrackingSettings

FOLDER = "unsent"


class RunLog(Protocol):
    """What a flow run writes to: a run on the tracking server, or its stand-in on the disk."""

    @property
    def known_id(self) -> str | None:
        """The MLflow run's id; None before the server has given one."""
        ...

    def log_parameters(self, params: Mapping[str, object]) -> None: ...  # noqa: D102
    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None: ...  # noqa: D102
    def log_pictures(  # noqa: D102
        self, pictures: Mapping[str, UInt8 | EncodedPicture], *, step: int = 0
    ) -> None: ...
    def picture_address(self, key: str) -> str | None: ...  # noqa: D102
    def log_files(self, files: Mapping[str, bytes], *, folder: str) -> None: ...  # noqa: D102
    def log_dataset(  # noqa: D102
        self, *, name: str, digest: str, source: str, context: str = "segmentation"
    ) -> None: ...
    def set_tags(self, tags: Mapping[str, str]) -> None: ...  # noqa: D102
    def set_description(self, markdown: str) -> None: ...  # noqa: D102
    def finish(self, status: Status) -> None: ...  # noqa: D102


class SpooledRun:
    """A run whose calls are kept on the disk. See `TrackedRun` for what each stands for."""

    def __init__(self, folder: Path, run_id: str | None) -> None:
        self.folder = folder
        self.known_id = run_id
        self._next = 0

    @classmethod
    def start(
        cls,
        home: Path,
        settings: TrackingSettings,
        *,
        name: str,
        tags: Mapping[str, str],
        run_id: str | None = None,
    ) -> SpooledRun:
        """Begin to keep a run's calls.

        Args:
            home: the folder of everything that is kept.
            settings: where the run belongs.
            name: the run's name, should it still have to be started.
            tags: its tags.
            run_id: its id, if the server has started it already.
        """
        folder = home / FOLDER / f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"
        about = {
            # A password in the address stays in the environment.
            "uri": shown(settings.uri),
            "experiment": settings.experiment,
            "name": name,
            "tags": dict(tags),
            "run_id": run_id,
            "started_ms": int(time.time() * 1000),
        }
        with _keeping(folder):
            folder.mkdir(parents=True)
            write_whole(folder / "run.json", json.dumps(about).encode())
        return cls(folder, run_id)

    def log_parameters(self, params: Mapping[str, object]) -> None:  # noqa: D102
        plain = json.loads(json.dumps(params, default=str))
        self._keep("log_parameters", {"params": plain})

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:  # noqa: D102
        values = {key: float(value) for key, value in metrics.items()}
        self._keep("log_metrics", {"metrics": values, "step": step})

    def log_pictures(  # noqa: D102
        self, pictures: Mapping[str, UInt8 | EncodedPicture], *, step: int = 0
    ) -> None:
        files = {}
        for number, picture in enumerate(pictures.values()):
            both = picture if isinstance(picture, EncodedPicture) else encoded(picture)
            files[f"{number}.png"], files[f"{number}.webp"] = both.png, both.thumbnail
        self._keep("log_pictures", {"keys": list(pictures), "step": step}, files)

    def picture_address(self, key: str) -> str | None:  # noqa: D102
        return None

    def log_files(self, files: Mapping[str, bytes], *, folder: str) -> None:  # noqa: D102
        numbered = {f"{number}.bin": data for number, data in enumerate(files.values())}
        self._keep("log_files", {"names": list(files), "folder": folder}, numbered)

    def log_dataset(  # noqa: D102
        self, *, name: str, digest: str, source: str, context: str = "segmentation"
    ) -> None:
        self._keep(
            "log_dataset", {"name": name, "digest": digest, "source": source, "context": context}
        )

    def set_tags(self, tags: Mapping[str, str]) -> None:  # noqa: D102
        self._keep("set_tags", {"tags": dict(tags)})

    def set_description(self, markdown: str) -> None:  # noqa: D102
        self._keep("set_description", {"markdown": markdown})

    def finish(self, status: Status) -> None:  # noqa: D102
        self._keep("finish", {"status": status})
        with _keeping(self.folder):
            write_whole(self.folder / "ended", b"")

    def _keep(
        self, call: str, arguments: dict[str, Any], files: Mapping[str, bytes] | None = None
    ) -> None:
        place = self.folder / f"{self._next:06d}"
        self._next += 1
        aside = place.with_suffix(".part")
        with _keeping(self.folder):
            aside.mkdir()
            for name, data in (files or {}).items():
                (aside / name).write_bytes(data)
            said = {"call": call, "arguments": arguments}
            (aside / "call.json").write_text(json.dumps(said, ensure_ascii=False))
            aside.rename(place)


@dataclass(frozen=True)
class Sent:
    """What became of one unsent run."""

    name: str
    run_id: str | None
    """The MLflow run's id; None where nothing could be sent."""
    calls: int
    error: str | None = None


def unsent(home: Path) -> list[Path]:
    """The folders of the runs that wait to be sent, oldest first."""
    return sorted(path.parent for path in (home / FOLDER).glob("*/run.json"))


def flush(home: Path, *, all_runs: bool = False) -> Iterator[Sent]:
    """Send what waits, run by run.

    Args:
        home: the folder of everything that is kept.
        all_runs: also runs that have not ended; of a process that was killed, never of one that
            still works.
    """
    for folder in unsent(home):
        if not all_runs and not (folder / "ended").exists():
            continue
        with _claimed(folder) as ours:
            if ours and (folder / "run.json").exists():
                yield _send(folder)


def _send(folder: Path) -> Sent:
    about = json.loads((folder / "run.json").read_text())
    settings = TrackingSettings(uri=_with_password(about["uri"]), experiment=about["experiment"])
    made = 0
    try:
        run = _run_of(folder, about, settings)
        for place in sorted(folder.glob("[0-9]" * 6)):
            _make(run, place)
            shutil.rmtree(place)
            made += 1
        if not (folder / "ended").exists():
            run.finish("KILLED")
    except TrackingError as error:
        return Sent(about["name"], about["run_id"], made, str(error))
    shutil.rmtree(folder)
    return Sent(about["name"], run.run_id, made)


def _run_of(folder: Path, about: dict[str, Any], settings: TrackingSettings) -> TrackedRun:
    if about["run_id"]:
        return TrackedRun.resume(settings, str(about["run_id"]))
    run = TrackedRun.start(
        settings, name=about["name"], tags=about["tags"], started_ms=about["started_ms"]
    )
    about["run_id"] = run.run_id
    write_whole(folder / "run.json", json.dumps(about).encode())
    return run


def _make(run: TrackedRun, place: Path) -> None:
    said = json.loads((place / "call.json").read_text())
    arguments = said["arguments"]
    match said["call"]:
        case "log_pictures":
            pictures = {
                key: EncodedPicture(
                    (place / f"{number}.png").read_bytes(), (place / f"{number}.webp").read_bytes()
                )
                for number, key in enumerate(arguments["keys"])
            }
            run.log_pictures(pictures, step=arguments["step"])
        case "log_files":
            files = {
                name: (place / f"{number}.bin").read_bytes()
                for number, name in enumerate(arguments["names"])
            }
            run.log_files(files, folder=arguments["folder"])
        case "log_parameters":
            run.log_parameters(arguments["params"])
        case "log_metrics":
            run.log_metrics(arguments["metrics"], step=arguments["step"])
        case "log_dataset":
            run.log_dataset(**arguments)
        case "set_tags":
            run.set_tags(arguments["tags"])
        case "set_description":
            run.set_description(arguments["markdown"])
        case "finish":
            run.finish(arguments["status"])


def _with_password(uri: str) -> str:
    """The address that the environment gives for the same place, if it gives one."""
    here = environment().tracking_uri or ""
    return here if shown(here) == uri else uri


@contextlib.contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrackingError(
            f"could not keep what is to be logged in {folder}: {error.strerror or error}; check "
            "the place and its free space"
        ) from error


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Hold a run's folder against another flush; the system lets go of it when we die."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"), blocking=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
        if not folder.exists():
            Path(lock.lock_file).unlink(missing_ok=True)
