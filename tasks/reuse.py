"""A stage's artifacts: as they are stored, or computed and stored now. No framework."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from zeropan.errors import ArtifactDamaged, ArtifactMissing
from zeropan.models.loading import resolve_device
from zeropan.models.published.components import Role
from zeropan.segmentation.records import Record
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.marker import ArtifactRef, Marker
from zeropan.tasks.cache_rule import ALGORITHM_VERSIONS
from zeropan.tasks.stages import Means, Reader, compute
from zeropan.tasks.summaries import key_figures
from zeropan.tasks.work import STAGES, UPSTREAM, ImageWork, Stage, StageOutcome

logger = logging.getLogger(__name__)


class Shelf(Reader, Protocol):
    """Where records are kept under their keys: an `ArtifactStore`, or a `MemoryStore`."""

    url: str

    def find(self, key: ArtifactKey) -> Marker | None:
        """The marker of a key's artifact, if it is stored, every byte of it as it was written."""
        ...

    def is_marked(self, key: ArtifactKey) -> bool:
        """Whether a key has a marker at all, be it whole or torn."""
        ...

    def lease(
        self, key: ArtifactKey, *, done: Callable[[], bool] | None = None
    ) -> AbstractContextManager[bool]:
        """Be the one process that computes a key; False where another one has just done it."""
        ...

    def write(
        self,
        key: ArtifactKey,
        record: Record,
        *,
        provenance: Mapping[str, Any],
        replace: bool = False,
    ) -> ArtifactRef:
        """Store a record under a key; a whole artifact that is there stays, unless `replace`."""
        ...


def find_or_compute(stage: Stage, work: ImageWork, store: Shelf, means: Means) -> StageOutcome:
    """All artifacts of a stage: those that are stored, and the others computed and stored now.

    Raises:
        ArtifactMissing, ArtifactDamaged: an earlier stage's artifact is not whole.
        StoreError: a record cannot be stored.
    """
    started = time.perf_counter()
    keys = work.artifacts(stage)
    if stage in work.force:
        found: dict[ArtifactKey, Marker] = {}
        refs = _compute(stage, keys, work, store, means)
        return _outcome(stage, work, found, refs, started)
    found = _find(store, keys)
    missing = [key for key in keys if key not in found]
    if not missing:
        return _outcome(stage, work, found, {}, started)
    damaged = [key for key in missing if store.is_marked(key)]
    for key in damaged:
        logger.warning("artifact %s is damaged in %s: computing it again", key, store.url)
    with store.lease(
        work.key(stage), done=lambda: len(_find(store, missing)) == len(missing)
    ) as ours:
        if not ours:
            found |= _find(store, missing)
            missing = [key for key in keys if key not in found]
        refs = _compute(stage, missing, work, store, means)
    return _outcome(stage, work, found, refs, started, mended=any(key in refs for key in damaged))


def run_stages(work: ImageWork, store: Shelf, means: Means) -> list[StageOutcome]:
    """All stages of one image, in order; nothing where the result is stored and nothing is forced.

    Raises:
        ArtifactMissing, ArtifactDamaged: artifacts vanish faster than they are computed.
        StoreError: a record cannot be stored.
    """
    if not work.force and store.find(work.key("panoptic")) is not None:
        return []
    try:
        return [find_or_compute(stage, work, store, means) for stage in STAGES]
    except (ArtifactMissing, ArtifactDamaged):
        # Something upstream was damaged after it had been looked at; it is computed again now.
        # A third pass would only hide a real fault.
        return [find_or_compute(stage, work, store, means) for stage in STAGES]


def _find(store: Shelf, keys: Sequence[ArtifactKey]) -> dict[ArtifactKey, Marker]:
    found = ((key, store.find(key)) for key in keys)
    return {key: marker for key, marker in found if marker is not None}


def _compute(
    stage: Stage, keys: Sequence[ArtifactKey], work: ImageWork, store: Shelf, means: Means
) -> dict[ArtifactKey, tuple[ArtifactRef, dict[str, float]]]:
    """Compute and store; the reference of each, and what came out."""
    if not keys:
        return {}
    started = time.perf_counter()
    records = compute(stage, keys, work, store, means)
    seconds = (time.perf_counter() - started) / len(keys)
    done = {}
    for key, record in zip(keys, records, strict=True):
        result = key_figures(record)
        provenance = _provenance(stage, key, work) | {"seconds": seconds, "result": result}
        ref = store.write(key, record, provenance=provenance, replace=stage in work.force)
        done[key] = ref, result
    return done


def _outcome(
    stage: Stage,
    work: ImageWork,
    found: Mapping[ArtifactKey, Marker],
    computed: Mapping[ArtifactKey, tuple[ArtifactRef, dict[str, float]]],
    started: float,
    *,
    mended: bool = False,
) -> StageOutcome:
    refs = {key: marker.ref for key, marker in found.items()}
    results = [marker.provenance.get("result") for marker in found.values()]
    for key, (ref, came_out) in computed.items():
        refs[key] = ref
        results.append(came_out)
    result = results[0] if results and isinstance(results[0], dict) else {}
    return StageOutcome(
        stage=stage,
        digest=work.digests[stage],
        artifacts={key.digest: refs[key].manifest_sha256 for key in work.artifacts(stage)},
        how="computed" if computed else "cached",
        computed=len(computed),
        seconds=time.perf_counter() - started,
        result={"words": len(refs)} if stage == "score_stuff" else result,
        mended=mended,
    )


def _provenance(stage: Stage, key: ArtifactKey, work: ImageWork) -> dict[str, Any]:
    """Where an artifact comes from, for people; words as far as the stage sees them."""
    own = getattr(work.config, stage, None)
    about: dict[str, Any] = {
        "image_sha256": work.image.sha256,
        "parameters": {} if own is None else own.model_dump(mode="json"),
        "models": work.models,
        "upstream": {other: work.digests[other] for other in UPSTREAM[stage]},
        "algorithm_version": ALGORITHM_VERSIONS[stage],
        "device": resolve_device(work.device),
        "precision": work.precisions[_BACKBONES[stage]] if stage in _BACKBONES else "fp32",
    }
    if work.image.decoding:
        about["decoding"] = work.image.decoding
    if stage == "ground_things":
        about["prompts"] = list(work.categories.thing_prompts)
    elif stage == "score_stuff":
        about["prompts"] = [p for p, digest in work.word_digests.items() if digest == key.digest]
    elif stage != "embed_image":
        about["categories"] = work.categories.model_dump(mode="json")
    if stage == "stuff_regions":
        about["words"] = dict(work.word_digests)
    return about


_BACKBONES: dict[Stage, Role] = {
    "embed_image": "segmenter",
    "ground_things": "detector",
    "score_stuff": "text_segmenter",
}
"""The stages that run a backbone; only these use another precision than fp32."""
