"""How Prefect's cache and the artifact store are kept from contradicting each other.

The store is the one truth: an artifact exists if and only if its commit marker does. Prefect's
cached result is a hint, a small JSON reference. Reading it back asks the store for the whole
artifact and refuses the hint otherwise, so Prefect runs the task again. And a task whose hint is
gone (another machine, an emptied database) asks the store before it computes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
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
from zeropan.models.loading import precision_of, resolve_device
from zeropan.models.presets import find_preset
from zeropan.models.published.components import Role
from zeropan.segmentation.records import Record
from zeropan.storage.marker import ArtifactRef, Marker
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.cache_rule import ALGORITHM_VERSIONS
from zeropan.tasks.summaries import key_figures
from zeropan.tasks.work import How, ImageWork, Stage, StageOutcome

logger = logging.getLogger(__name__)

Compute = Callable[[ImageWork, ArtifactStore], Record]


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
        ref = ArtifactRef(
            stage=outcome["stage"],
            digest=outcome["digest"],
            manifest_sha256=outcome["manifest_sha256"],
        )
        if not ArtifactStore(self.store_url).is_whole(ref):
            raise ArtifactMissing(
                f"artifact {ref.stage}/{ref.digest} is not whole in {self.store_url}; "
                "it is computed again"
            )
        return outcome


def cached_stage(stage: Stage, compute: Compute) -> Task[[ImageWork], dict[str, Any]]:
    """A Prefect task that stores what `compute` returns, unless it is stored already."""

    def body(work: ImageWork) -> dict[str, Any]:
        return _find_or_compute(stage, compute, work).model_dump(mode="json")

    body.__doc__ = compute.__doc__
    return Task(
        body,
        name=stage.replace("_", "-"),
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


def _find_or_compute(stage: Stage, compute: Compute, work: ImageWork) -> StageOutcome:
    """The artifact under the stage's key: as it is stored, or computed and stored now."""
    store = ArtifactStore(work.store_url)
    key = work.key(stage)
    started = time.perf_counter()
    if stage in work.force:
        return _compute(stage, compute, work, store, started)
    found = store.find(key)
    if found is not None:
        return _stored(stage, found, started)
    damaged = store.is_marked(key)
    if damaged:
        logger.warning("artifact %s is damaged in %s: computing it again", key, work.store_url)
    with store.lease(key) as ours:
        other = None if ours else store.find(key)
        if other is not None:
            return _stored(stage, other, started)
        return _compute(stage, compute, work, store, started, mended=damaged)


def _stored(stage: Stage, found: Marker, started: float) -> StageOutcome:
    result = found.provenance.get("result")
    return _outcome(stage, found.ref, "cached", time.perf_counter() - started, result)


def _compute(
    stage: Stage,
    compute: Compute,
    work: ImageWork,
    store: ArtifactStore,
    started: float,
    *,
    mended: bool = False,
) -> StageOutcome:
    record = compute(work, store)
    result = key_figures(record)
    provenance = _provenance(stage, work, time.perf_counter() - started, result)
    ref = store.write(work.key(stage), record, provenance=provenance, replace=stage in work.force)
    return _outcome(stage, ref, "computed", time.perf_counter() - started, result, mended=mended)


def _outcome(
    stage: Stage,
    ref: ArtifactRef,
    how: How,
    seconds: float,
    result: Any,
    *,
    mended: bool = False,
) -> StageOutcome:
    return StageOutcome(
        stage=stage,
        digest=ref.digest,
        manifest_sha256=ref.manifest_sha256,
        how=how,
        seconds=seconds,
        result=result if isinstance(result, dict) else {},
        mended=mended,
    )


def _provenance(
    stage: Stage, work: ImageWork, seconds: float, result: dict[str, float]
) -> dict[str, Any]:
    own = getattr(work.config, stage, None)
    return {
        "image_sha256": work.image.sha256,
        "parameters": {} if own is None else own.model_dump(mode="json"),
        "categories": work.categories.model_dump(mode="json"),
        "models": work.models,
        "upstream": {
            other: digest for other, digest in work.digests.items() if other in UPSTREAM[stage]
        },
        "algorithm_version": ALGORITHM_VERSIONS[stage],
        **_arithmetic(stage, work),
        "seconds": seconds,
        "result": result,
    }


def _arithmetic(stage: Stage, work: ImageWork) -> dict[str, str]:
    """Device and precision: they are no part of a key, and may change a result's last digits."""
    device = resolve_device(work.device)
    role = _BACKBONES.get(stage)
    if role is None:
        return {"device": device, "precision": "fp32"}
    component = find_preset(work.preset).component(role)
    return {"device": device, "precision": precision_of(component, device, work.precision)}


_BACKBONES: dict[Stage, Role] = {
    "embed_image": "segmenter",
    "ground_things": "detector",
    "score_stuff": "text_segmenter",
}
"""The stages that run a backbone; only these use another precision than fp32."""
UPSTREAM: dict[Stage, tuple[Stage, ...]] = {
    "embed_image": (),
    "ground_things": (),
    "score_stuff": (),
    "things": ("embed_image", "ground_things"),
    "stuff_regions": ("score_stuff", "things"),
    "stuff_masks": ("embed_image", "stuff_regions"),
    "panoptic": ("things", "stuff_regions", "stuff_masks"),
}
"""The stages whose artifacts a stage reads."""
