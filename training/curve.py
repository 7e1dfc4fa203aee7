"""A run's measurements as lines of JSON, in the log, and in MLflow where it is wanted."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from torch import Tensor

logger = logging.getLogger(__name__)


class Curve:
    """A run's measurements: one JSON line each, a log line, and MLflow where it is wanted."""

    def __init__(
        self, path: Path, *, mlflow_uri: str | None = None, name: str = "training"
    ) -> None:
        """Append to `path`; track in MLflow as well when a URI is given and it is installed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._mlflow: tuple[Any, str] | None = None
        if mlflow_uri is not None:
            self._mlflow = _start_mlflow_run(mlflow_uri, name)

    def add(self, step: int, **values: float | Tensor) -> None:
        """Record `values` at `step`."""
        plain = {name: round(float(value), 5) for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **plain}) + "\n")
        logger.info("step %d %s", step, " ".join(f"{k}={v:.4g}" for k, v in plain.items()))
        if self._mlflow is not None:
            client, run_id = self._mlflow
            for name, value in plain.items():
                client.log_metric(run_id, name, value, step=step)

    def close(self) -> None:
        """Mark the MLflow run, if there is one, as finished."""
        if self._mlflow is not None:
            client, run_id = self._mlflow
            client.set_terminated(run_id)


def _start_mlflow_run(uri: str, name: str) -> tuple[Any, str] | None:
    try:
        from mlflow import MlflowClient
    except ImportError:
        logger.warning("mlflow is not installed: %s is recorded as JSON lines only", name)
        return None
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    return client, client.create_run(experiment_id).info.run_id
