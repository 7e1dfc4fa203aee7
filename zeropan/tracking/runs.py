"""One MLflow run, written to by its id; MLflow's active run is never used."""

from __future__ import annotations

import getpass
import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from zeropan.pictures.encoding import EncodedPicture
from zeropan.segmentation.records import UInt8
from zeropan.tracking.client import talking_to_mlflow
from zeropan.tracking.database import open_experiment
from zeropan.tracking.errors import as_tracking_error
from zeropan.tracking.image_files import FOLDER, LOGGED_IMAGES_TAG, image_files
from zeropan.tracking.names import MAX_TAG_LENGTH, cut, file_name, legal_key
from zeropan.tracking.parameters import flattened
from zeropan.tracking.settings import TrackingSettings
from zeropan.tracking.views import artifact_address, run_link

Status = Literal["FINISHED", "FAILED", "KILLED"]

_PER_BATCH = 100
_NOTE = "mlflow.note.content"


class TrackedRun:
    """A run under way. Every method may raise TrackingError, and may be called from any thread."""

    def __init__(
        self, client: Any, settings: TrackingSettings, *, run_id: str, experiment_id: str
    ) -> None:
        self._client = client
        self._settings = settings
        self.run_id = run_id
        self.experiment_id = experiment_id
        self._addresses: dict[str, str] = {}

    @classmethod
    def start(
        cls,
        settings: TrackingSettings,
        *,
        name: str,
        tags: Mapping[str, str],
        description: str | None = None,
        started_ms: int | None = None,
    ) -> TrackedRun:
        """Start a run; the database and the experiment are created when they are not there.

        Args:
            settings: where to.
            name: what the user reads in the list of runs.
            tags: text by name; values beyond 8000 characters are cut.
            description: Markdown.
            started_ms: milliseconds since the epoch; by default now.
        """
        with talking_to_mlflow("start a run", settings.uri):
            client, experiment_id = open_experiment(settings)
            every = {"mlflow.source.name": "zeropan", "mlflow.source.type": "LOCAL", **tags}
            every.setdefault("mlflow.user", _user())
            if description is not None:
                every[_NOTE] = description
            run = client.create_run(
                experiment_id, run_name=cut(name, 250), tags=_tags(every), start_time=started_ms
            )
            return cls(client, settings, run_id=str(run.info.run_id), experiment_id=experiment_id)

    @classmethod
    def resume(cls, settings: TrackingSettings, run_id: str) -> TrackedRun:
        """Go on with a run that was started before."""
        with talking_to_mlflow("open a run", settings.uri):
            client, _ = open_experiment(settings)
            experiment_id = str(client.get_run(run_id).info.experiment_id)
            return cls(client, settings, run_id=run_id, experiment_id=experiment_id)

    @property
    def known_id(self) -> str | None:
        """The run's id."""
        return self.run_id

    def log_parameters(self, params: Mapping[str, object]) -> None:
        """Log settings; nested ones become "things/box_threshold". A value is set once for all."""
        with self._talking("log parameters"):
            from mlflow.entities import Param

            entries = [Param(key, value) for key, value in flattened(params).items()]
            for first in range(0, len(entries), _PER_BATCH):
                batch = entries[first : first + _PER_BATCH]
                self._client.log_batch(self.run_id, params=batch, synchronous=True)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Log numbers. Those that are not finite are left out, for no chart can show them."""
        now = int(time.time() * 1000)
        with self._talking("log metrics"):
            from mlflow.entities import Metric

            entries = [
                Metric(legal_key(key), float(value), now, step)
                for key, value in metrics.items()
                if math.isfinite(value)
            ]
            for first in range(0, len(entries), _PER_BATCH):
                batch = entries[first : first + _PER_BATCH]
                self._client.log_batch(self.run_id, metrics=batch, synchronous=True)

    def log_pictures(
        self, pictures: Mapping[str, UInt8 | EncodedPicture], *, step: int = 0
    ) -> None:
        """Log pictures so that the image grid of MLflow compares them between runs.

        Args:
            pictures: image key to uint8 (h, w, 3), RGB, or to a picture that is encoded
                already; "/" in a key makes groups.
            step: position on the grid's slider; the image's index in a data set.
        """
        if not pictures:
            return
        with as_tracking_error("encode pictures", self._settings.uri):
            # Outside of the turn that threads wait for: encoding takes longer than sending.
            files = image_files(pictures, step=step)
        with self._talking("log pictures"):
            self._send(files, FOLDER)
            self._client.set_tag(self.run_id, LOGGED_IMAGES_TAG, "True", synchronous=True)
        full = (file for file in files if file.endswith(".png"))
        for key, file in zip(pictures, full, strict=True):
            self._addresses[key] = artifact_address(self.run_id, f"{FOLDER}/{file}")

    def picture_address(self, key: str) -> str | None:
        """Where the UI serves the picture that was last logged under a key; None if none was.

        The address is relative to the UI's, as the description's Markdown wants it:
        `![overlay](<address>)`.
        """
        return self._addresses.get(key)

    def log_files(self, files: Mapping[str, bytes], *, folder: str) -> None:
        """Log files by name under a folder of the run; odd characters in names are escaped.

        Args:
            files: the content by name; a name with slashes lands in subfolders.
            folder: path inside the run's artifacts; "" for its root.
        """
        if not files:
            return
        with self._talking("log files"):
            self._send(files, _safe_path(folder))

    def log_dataset(
        self, *, name: str, digest: str, source: str, context: str = "segmentation"
    ) -> None:
        """Name the data that the run read.

        Args:
            name: the image's file name or the data set's name.
            digest: hex digest of its bytes; the first 32 characters are kept.
            source: where it came from: a path or an address.
            context: what it served for, such as "segmentation" or "evaluation".
        """
        with self._talking("log the data set"):
            from mlflow.entities import Dataset, DatasetInput, InputTag

            data = Dataset(
                name=cut(name, 500),
                digest=digest[:32],
                source_type="local",
                source=cut(source, 60_000),
            )
            tag = InputTag("mlflow.data.context", cut(context, 500))
            self._client.log_inputs(self.run_id, [DatasetInput(data, [tag])])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; an old value is overwritten."""
        with self._talking("set tags"):
            from mlflow.entities import RunTag

            entries = [RunTag(key, value) for key, value in _tags(tags).items()]
            for first in range(0, len(entries), _PER_BATCH):
                batch = entries[first : first + _PER_BATCH]
                self._client.log_batch(self.run_id, tags=batch, synchronous=True)

    def set_description(self, markdown: str) -> None:
        """Set the text at the top of the run's page; at most 8000 characters are kept."""
        self.set_tags({_NOTE: markdown})

    def finish(self, status: Status) -> None:
        """End the run. MLflow never ends one by itself, so call this on every way out."""
        with self._talking("finish the run"):
            self._client.set_terminated(self.run_id, status)

    def url(self, ui_base: str | None) -> str:
        """The run's page.

        Args:
            ui_base: the UI's address, such as http://localhost:5000; None: the tracking server's
                own, or for a database the address that `zeropan` starts the UI at by default.
        """
        if ui_base is None:
            ui_base = self._settings.uri if self._settings.is_server else "http://localhost:5000"
        return run_link(ui_base, self.experiment_id, self.run_id)

    def _talking(self, doing: str) -> Any:
        return talking_to_mlflow(doing, self._settings.uri)

    def _send(self, files: Mapping[str, bytes], folder: str) -> None:
        with tempfile.TemporaryDirectory(prefix="zeropan-mlflow-") as scratch:
            for name, content in files.items():
                path = Path(scratch) / name if folder == FOLDER else Path(scratch, _safe_path(name))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._client.log_artifacts(self.run_id, scratch, folder or None)


def _safe_path(path: str) -> str:
    return "/".join(file_name(part) for part in path.split("/") if part)


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        key if key.startswith("mlflow.") else legal_key(key): cut(str(value), MAX_TAG_LENGTH)
        for key, value in tags.items()
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a user id that has no name.
        return "unknown"
