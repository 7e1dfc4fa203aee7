"""How Prefect's cache and the artifact store are kept from contradicting each other.

The store is the one truth: an artifact exists if and only if its commit marker does. Prefect's
cached result is a hint, a small JSON reference. Reading it back asks the store for the whole
artifact and refuses the hint otherwise, so Prefect runs the task again. And a task whose hint is
gone (another machine, an emptied database) asks the store before it computes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from prefect import Task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.serializers import Serializer
from prefect.tasks import exponential_backoff
from pydantic import Field

from zeropan.errors import ArtifactMissing, TransientError
from zeropan.models.loading import PresetModels
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.cache_rule import ALGORITHM_VERSIONS
from zeropan.tasks.pixels import pixels_of
from zeropan.tasks.reuse import find_or_compute
from zeropan.tasks.stages import Means
from zeropan.tasks.work import ImageWork, Stage, StageOutcome


class StageOutcomeSerializer(Serializer):
    """JSON of a StageOutcome; loading it fails unless the store holds the whole artifact."""

    type: str = Field(default="zeropan-stage-outcome", frozen=True)
    store_url: str

    def dumps(self, obj: Any) -> bytes:
        """Serialise a StageOutcome, or the exception of a failed task by its name and text."""
        if isinstance(obj, BaseException):
            return json.dumps({"error": type(obj).__name__, "message": str(obj)}).encode()
        return json.dumps(obj, sort_keys=True).encode()

    def loads(self, blob: bytes) -> Any:
        """Read a StageOutcome back.

        Raises:
            ArtifactMissing: the store does not hold the artifact, or not all of it.
        """
        outcome = json.loads(blob)
        if "error" in outcome:
            raise ArtifactMissing(f"the stage failed with {outcome['error']}: nothing is stored")
        store = ArtifactStore(self.store_url)
        for ref in StageOutcome.model_validate(outcome).refs:
            if not store.is_whole(ref):
                raise ArtifactMissing(
                    f"artifact {ref.key} is not whole in {self.store_url}; it is computed again"
                )
        return outcome


def cached_stage(stage: Stage, description: str) -> Task[[ImageWork], dict[str, Any]]:
    """A Prefect task that stores what a stage computes, unless it is stored already."""

    def body(work: ImageWork) -> dict[str, Any]:
        store = ArtifactStore(work.store_url)
        return find_or_compute(stage, work, store, means_of(work)).model_dump(mode="json")

    return Task(
        body,
        name=stage.replace("_", "-"),
        description=description,
        version=str(ALGORITHM_VERSIONS[stage]),
        task_run_name=stage.replace("_", "-") + " {work.image.sha256:.8}",
        cache_policy=CacheKeyFnPolicy(cache_key_fn=_key_function(stage)),
        persist_result=True,
        cache_result_in_memory=False,
        retries=3,
        retry_delay_seconds=exponential_backoff(backoff_factor=1),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_transient,
    )


def means_of(work: ImageWork) -> Means:
    """This process's models, and the image's pixels as this process has them."""
    return Means(PresetModels(work.preset, work.device, work.precisions), pixels_of)


def _key_function(stage: Stage) -> Callable[[TaskRunContext, dict[str, Any]], str]:
    def cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
        work: ImageWork = parameters["work"]
        # The hint is about one store; the artifact's own key is not.
        place = hashlib.sha256(work.store_url.encode()).hexdigest()[:12]
        return f"zeropan-{stage}-{work.digests[stage]}-{place}"

    return cache_key


def is_transient(
    task: Task[..., Any], task_run: TaskRun, state: State[Any], /
) -> bool:  # Prefect fixes the three arguments.
    """Whether a failed task deserves another try.

    Wrong input and damaged weights fail at once; a fault of the network or the file system is
    tried again, and so is an artifact that vanished between two looks at it.
    """
    try:
        state.result(raise_on_failure=True)
    except (TransientError, ArtifactMissing, ConnectionError, TimeoutError):
        return True
    except Exception:
        return False
    return False
