"""Finding recorded runs again, and reading what they kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zeropan.errors import BadInput
from zeropan.tracking.client import connect, quiet, talking_to_mlflow
from zeropan.tracking.errors import TrackingError
from zeropan.tracking.names import legal_key
from zeropan.tracking.settings import TrackingSettings

LATEST = "latest"
_LEAST_PREFIX = 4


@dataclass(frozen=True)
class FoundRun:
    """A recorded run."""

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def find_run(settings: TrackingSettings, selector: str, *, having: str) -> FoundRun:
    """The run that a person means.

    Args:
        settings: where to look; "latest" looks in its experiment only, an id in all of them.
        selector: a run's id, at least 4 characters of its beginning, or "latest": the one that
            started last.
        having: name of a tag that the run must have, so that runs of other kinds are left out.

    Raises:
        BadInput: no run, or more than one, is meant.
        TrackingError: the tracking server cannot be asked.
    """
    if selector != LATEST and (
        len(selector) < _LEAST_PREFIX or not selector.isascii() or not selector.isalnum()
    ):
        raise BadInput(
            f"{selector!r} names no run; give a run id, at least {_LEAST_PREFIX} characters of one,"
            f" or {LATEST}"
        )
    wanted = f"tags.`{legal_key(having)}` != ''"
    if selector != LATEST:
        wanted = f"attributes.run_id LIKE '{selector.lower()}%'"
    runs = _search(settings, wanted, limit=5, experiment_only=selector == LATEST)
    fitting = [run for run in runs if having in run.tags]
    if not fitting:
        kind = ", which is of another kind" if runs else ""
        raise BadInput(
            f"{selector!r} names no run at {settings.uri}{kind}; "
            "list them with `zeropan ui`, or start one with `zeropan run`"
        )
    if selector != LATEST and len(fitting) > 1:
        shown = ", ".join(run.run_id[:12] for run in fitting)
        raise BadInput(f"{selector!r} is the beginning of several runs ({shown}); give more of it")
    return fitting[0]


def runs_with_tag(settings: TrackingSettings, tag: str, value: str) -> list[FoundRun]:
    """The experiment's runs whose tag has this value, the latest first, 1000 at most."""
    clean = value.replace("'", "")
    return _search(
        settings, f"tags.`{legal_key(tag)}` = '{clean}'", limit=1000, experiment_only=True
    )


def runs_having(settings: TrackingSettings, tag: str) -> list[FoundRun]:
    """The runs of all experiments that have a tag, the latest first, 1000 at most.

    Raises:
        BadInput: no run has been recorded there.
        TrackingError: the tracking server cannot be asked.
    """
    return _search(settings, f"tags.`{legal_key(tag)}` != ''", limit=1000, experiment_only=False)


def put_below(settings: TrackingSettings, run_ids: Iterable[str], parent_id: str) -> None:
    """Show runs as children of another one.

    Raises:
        TrackingError: the tracking server cannot be asked.
    """
    with talking_to_mlflow("move runs below another", settings.uri):
        client = connect(settings.uri)
        for run_id in run_ids:
            client.set_tag(run_id, "mlflow.parentRunId", parent_id, synchronous=True)


def read_file(settings: TrackingSettings, run_id: str, path: str) -> bytes:
    """One of a run's files.

    Raises:
        TrackingError: it is not there, or the server cannot be asked.
    """
    with talking_to_mlflow(f"read {path} of run {run_id}", settings.uri):
        client = connect(settings.uri)
        with tempfile.TemporaryDirectory(prefix="zeropan-run-") as scratch:
            return Path(client.download_artifacts(run_id, path, scratch)).read_bytes()


def _search(
    settings: TrackingSettings, wanted: str, *, limit: int, experiment_only: bool
) -> list[FoundRun]:
    database = settings.database
    if database is not None and not database.exists():
        raise BadInput(f"no run has been recorded at {settings.uri}; start one with `zeropan run`")
    with (
        talking_to_mlflow("look for runs", settings.uri),
        quiet("alembic", "mlflow.store.db.utils"),
    ):
        client = connect(settings.uri)
        if experiment_only:
            experiment = client.get_experiment_by_name(settings.experiment)
            if experiment is None:
                raise TrackingError(
                    f"experiment {settings.experiment!r} does not exist at {settings.uri}; "
                    "name another with --experiment"
                )
            experiments = [experiment.experiment_id]
        else:
            experiments = [found.experiment_id for found in client.search_experiments()]
        runs = client.search_runs(
            experiments, wanted, max_results=limit, order_by=["attributes.start_time DESC"]
        )
    return [
        FoundRun(
            run_id=run.info.run_id,
            name=run.info.run_name or "",
            status=run.info.status,
            params=dict(run.data.params),
            metrics=dict(run.data.metrics),
            tags=dict(run.data.tags),
        )
        for run in runs
    ]
