"""Environment variables: the one place where they are read, and set for other packages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(BaseSettings):
    """What the environment says; an empty variable says nothing."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    home: str | None = Field(
        default=None, validation_alias="ZEROPAN_HOME", description="Folder of all that is kept."
    )
    store: str | None = Field(
        default=None,
        validation_alias="ZEROPAN_STORE",
        description="Folder or fsspec URL of the artifacts.",
    )
    models: str | None = Field(
        default=None, validation_alias="ZEROPAN_MODELS", description="Folder of pulled models."
    )
    tracking_uri: str | None = Field(
        default=None,
        validation_alias="MLFLOW_TRACKING_URI",
        description="MLflow's server or database.",
    )
    experiment: str | None = Field(
        default=None,
        validation_alias="MLFLOW_EXPERIMENT_NAME",
        description="Name of MLflow's experiment.",
    )
    hub: str | None = Field(
        default=None, validation_alias="HF_ENDPOINT", description="Address of a hub's mirror."
    )
    flow_run: str | None = Field(
        default=None,
        validation_alias="PREFECT__FLOW_RUN_ID",
        description="The deployed flow run that this process works on, as Prefect says.",
    )
    dask: str | None = Field(
        default=None,
        validation_alias="DASK_SCHEDULER_ADDRESS",
        description="Scheduler of a Dask cluster that is there already.",
    )


def environment() -> Environment:
    """The environment as it is now; it is read anew each time."""
    return Environment()


def set_defaults(values: Mapping[str, str]) -> None:
    """Set what the user has not set, for this process and those it starts."""
    for name, value in values.items():
        os.environ.setdefault(name, value)


@contextmanager
def defaults(values: Mapping[str, str]) -> Iterator[None]:
    """Set what the user has not set while the block runs.

    The environment belongs to the process: callers see to it that threads take turns.
    """
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def for_child(added: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process to start: this one's, and what is added."""
    return {**os.environ, **added}
