"""Waiting until the Prefect server has written down what happened.

Task runs are recorded from a queue. A process with Prefect's ephemeral server that ends at once
takes what is still in the queue with it: history is lost and a traceback is printed.
"""

from __future__ import annotations

import time
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES


def wait_for_history(flow_run_id: str, task_runs: int, *, patience_s: float = 20.0) -> bool:
    """Wait until so many task runs of a flow run are recorded as ended.

    Returns:
        Whether they were, before the patience ran out.
    """
    flow_runs = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
    ended = TaskRunFilter(
        state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(TERMINAL_STATES)))
    )
    deadline = time.monotonic() + patience_s
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            response = client.request(
                "POST",
                "/task_runs/count",
                json={
                    "flow_runs": flow_runs.model_dump(mode="json"),
                    "task_runs": ended.model_dump(mode="json"),
                },
            )
            if int(response.json()) >= task_runs:
                return True
            time.sleep(0.1)
    return False
