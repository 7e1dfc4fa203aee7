"""A client of MLflow that fails fast, stays silent and sends nothing home.

MLflow is imported here, at the first use: its import costs two seconds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zeropan.machine.environment import defaults
from zeropan.tracking.errors import as_tracking_error

# MLflow reads its limits from the environment at every call. With its own defaults a server that
# is down blocks a call for four minutes; with these, for seconds.
REQUEST_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}

_one_call_at_a_time = threading.RLock()


@contextmanager
def talking_to_mlflow(doing: str, where: str) -> Iterator[None]:
    """Set what the user has not set, for the length of one call; failures become TrackingError.

    The environment belongs to the process, so calls from several threads take turns.
    """
    with _one_call_at_a_time, defaults(REQUEST_DEFAULTS), as_tracking_error(doing, where):
        yield


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep third-party loggers below WARNING silent for a while."""
    before = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def connect(uri: str) -> Any:
    """An `MlflowClient` for this URI alone; MLflow's global URI and active run stay untouched.

    Call it inside `talking_to_mlflow`. The type is Any because MLflow's own types are partial.
    """
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)
