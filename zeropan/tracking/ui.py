"""The command that shows the runs in a browser."""

from __future__ import annotations

import sys

from zeropan.tracking.errors import TrackingError
from zeropan.tracking.settings import TrackingSettings
from zeropan.tracking.views import VIEW_KEY, save_view, view_link

__all__ = ["VIEW_KEY", "save_view", "ui_command", "ui_environment", "view_link"]

DEFAULT_PORT = 5000


def ui_command(
    settings: TrackingSettings, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT
) -> list[str]:
    """The command of MLflow's server over the runs' database; run it with `ui_environment`.

    The server has no password, so it listens to this machine alone unless `host` says otherwise;
    with another host, MLflow also wants `--allowed-hosts`.

    Raises:
        TrackingError: the runs are on a server already.
    """
    if settings.is_server:
        raise TrackingError(
            f"runs are recorded at {settings.uri}, which is a server itself; open it in a browser"
        )
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", settings.uri]
    if settings.artifact_directory is not None:
        command += ["--artifacts-destination", settings.artifact_directory.as_uri()]
    return [*command, "--host", host, "--port", str(port), "--workers", "1"]


def ui_environment() -> dict[str, str]:
    """Settings that keep the server at two processes and a fifth of the memory; add os.environ."""
    return {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
