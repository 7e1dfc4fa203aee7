"""Who runs the batches of a data set: Prefect's and Dask's task runners, chosen by a name."""

from __future__ import annotations

from typing import Any

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from zeropan.choices import Runner
from zeropan.errors import BadConfig
from zeropan.machine.environment import environment
from zeropan.machine.processors import usable_processors


def task_runner(name: Runner, workers: int) -> TaskRunner[Any]:
    """A task runner with so many workers.

    Args:
        name: threads of this process (they share one copy of the models), processes of this
            machine, or dask: the cluster at DASK_SCHEDULER_ADDRESS, else one of processes on this
            machine; auto: threads for one worker, else processes.
        workers: batches at a time. With an existing Dask cluster, batches in flight.

    Raises:
        BadConfig: prefect-dask is not installed.
    """
    if name == "auto":
        name = "threads" if workers == 1 else "processes"
    if name == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    if name == "processes":
        return ProcessPoolTaskRunner(max_workers=workers)
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise BadConfig(
            "runner 'dask' needs the package prefect-dask; install zeropan with its extra: dask"
        ) from error
    address = environment().dask
    if address:
        return DaskTaskRunner(address=address)
    cluster = {
        "n_workers": workers, "threads_per_worker": 1, "processes": True,
        "host": "127.0.0.1", "dashboard_address": None,
    }  # fmt: skip
    return DaskTaskRunner(cluster_kwargs=cluster)


def threads_each(name: Runner, workers: int) -> int | None:
    """Threads for arithmetic in each worker, so that workers do not crowd each other out."""
    shared = name == "threads" or (name == "auto" and workers == 1)
    return None if shared else max(1, usable_processors() // workers)
