"""Opening the store: its tables and the experiment, safely from several processes at once.

Four processes that open a new SQLite database at the same moment would all create its tables, and
three of them fail ("table already exists"). A lock file beside the database lets one go first.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from filelock import FileLock

from zeropan.tracking.client import connect, quiet
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.settings import TrackingSettings


def open_experiment(settings: TrackingSettings) -> tuple[Any, str]:
    """A client and the experiment's id; database and experiment are created if they are not there.

    Call it inside `talking_to_mlflow`.

    Raises:
        TrackingError: the experiment was deleted.
    """
    database = settings.database
    if database is None:
        client = connect(settings.uri)
        return client, _experiment_id(client, settings)
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(database.name + ".lock")):
        is_new = not database.exists()
        with quiet("alembic", "mlflow.store.db.utils"):
            client = connect(settings.uri)
            experiment_id = _experiment_id(client, settings)
        if is_new:
            _let_readers_and_writers_share(database)
        return client, experiment_id


def _experiment_id(client: Any, settings: TrackingSettings) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(settings.experiment)
    if found is None:
        directory = settings.artifact_directory
        # An absolute address, so that a UI started from any directory finds the pictures.
        location = None if directory is None else directory.absolute().as_uri()
        try:
            return str(client.create_experiment(settings.experiment, artifact_location=location))
        except MlflowException:
            # Another process may have created it since.
            found = client.get_experiment_by_name(settings.experiment)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {settings.experiment!r} at {settings.uri} was deleted; restore it with "
            f"`mlflow experiments restore -x {found.experiment_id}`, or name another one"
        )
    return str(found.experiment_id)


def _let_readers_and_writers_share(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
