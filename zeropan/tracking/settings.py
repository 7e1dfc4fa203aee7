"""Where runs are recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from zeropan.machine.environment import environment
from zeropan.tracking.errors import TrackingError

DEFAULT_EXPERIMENT = "zeropan"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class TrackingSettings:
    """A tracking server or database, and the experiment that runs go to."""

    uri: str
    """sqlite:///<absolute path>, http(s)://…, or another URI that MLflow understands."""
    experiment: str = DEFAULT_EXPERIMENT

    @classmethod
    def resolve(
        cls,
        *,
        default_directory: Path,
        uri: str | None = None,
        experiment: str | None = None,
    ) -> TrackingSettings:
        """What the caller says, else the environment, else a SQLite file in a directory.

        MLflow's own default is never used: it depends on the working directory, and a left-over
        folder `mlruns` would switch it to a file store without a word.

        Args:
            default_directory: home of `mlflow.db` and `mlartifacts` when nothing else is said.
            uri: the tracking URI; MLFLOW_TRACKING_URI by default.
            experiment: the experiment's name; MLFLOW_EXPERIMENT_NAME by default.

        Raises:
            TrackingError: the URI is a plain path, a file store or an in-memory database.
        """
        said = environment()
        chosen = uri or said.tracking_uri or ""
        name = experiment or said.experiment or DEFAULT_EXPERIMENT
        if not chosen:
            chosen = f"{_SQLITE}{default_directory.expanduser().absolute() / 'mlflow.db'}"
        return cls(uri=_absolute(chosen.strip()), experiment=name)

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for servers and other databases."""
        return Path(self.uri.removeprefix(_SQLITE)) if self.uri.startswith(_SQLITE) else None

    @property
    def artifact_directory(self) -> Path | None:
        """Where pictures lie: beside the SQLite file. None: the server decides."""
        return None if self.database is None else self.database.parent / "mlartifacts"

    @property
    def is_server(self) -> bool:
        """Whether runs are recorded over HTTP."""
        return urlsplit(self.uri).scheme in ("http", "https")


def _absolute(uri: str) -> str:
    scheme = urlsplit(uri).scheme
    if scheme in ("", "file") or (len(scheme) == 1 and scheme.isalpha()):
        raise TrackingError(
            f"tracking URI {uri!r} is a folder, which MLflow no longer writes to; give a database "
            "such as sqlite:///runs/mlflow.db, or a server such as http://localhost:5000"
        )
    if not uri.startswith("sqlite:"):
        return uri.rstrip("/")
    path = uri.removeprefix(_SQLITE)
    if path in ("", uri) or path.startswith((":memory:", "file:")):
        raise TrackingError(
            f"tracking URI {uri!r} names no file; give one, such as sqlite:///runs/mlflow.db"
        )
    return f"{_SQLITE}{Path(path).expanduser().absolute()}"
