"""The flow that keeps the store from growing for ever, for a schedule."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from zeropan.errors import BadInput
from zeropan.flows.job import recorded_work
from zeropan.request.places import Places
from zeropan.request.recorded import COMPARED_TAG, NAMED_TAG, open_run
from zeropan.segmentation.images import shown
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import GRACE_S, prune
from zeropan.tasks.work import PERCEPTION, STAGES, Stage
from zeropan.tracking.search import runs_having
from zeropan.tracking.settings import TrackingSettings


@flow(name="prune", validate_parameters=True, result_serializer="json")
def prune_store(
    home: str | None = None,
    store: str | None = None,
    older_than_days: float | None = Field(default=None, ge=0),
    stages: list[Stage] | None = None,
    grace_s: float = Field(default=GRACE_S, ge=0),
    max_bytes: int | None = Field(default=None, ge=0),
    dry_run: bool = False,
) -> dict[str, Any]:
    """Remove damaged artifacts, what interrupted writes left behind, and what is too old.

    Args:
        home: folder of everything that is kept; by default ZEROPAN_HOME or ./zeropan-data.
        store: folder or fsspec URL of the artifacts; by default below `home`.
        older_than_days: artifacts made longer ago go, too; None removes none for its age.
        stages: with older_than_days, only artifacts of these stages.
        grace_s: attempts that changed in the last so many seconds are kept.
        max_bytes: then the oldest artifacts go until those that are left have no more bytes, those
            of the models first, but none that a run needs which was named or compared.
        dry_run: only say what would be removed.
    """
    places = Places.resolve(home=home, store=store)
    report = prune(
        ArtifactStore(places.store_url),
        grace_s=grace_s,
        older_than_s=None if older_than_days is None else older_than_days * 86400,
        stages=stages,
        max_bytes=max_bytes,
        first=PERCEPTION,
        keep=needed(places) if max_bytes is not None else (),
        dry_run=dry_run,
    )
    rows = [{"name": check.name, "was": check.status} for check in report.removed]
    rows += [{"name": str(key), "was": "expired"} for key in report.expired]
    said = f"{len(rows)} {'would be ' if dry_run else ''}removed from {shown(places.store_url)}"
    create_table_artifact(table=rows[:1000], key="zeropan-pruned", description=said)
    return {
        "removed": [check.name for check in report.removed],
        "expired": [str(key) for key in report.expired],
        "freed_bytes": report.freed_bytes,
        "dry_run": dry_run,
    }


def needed(places: Places) -> set[ArtifactKey]:
    """Every artifact of the runs that a person named or compared, in this home's store.

    Raises:
        TrackingError: the tracking server cannot be asked, so that nothing may be removed.
    """
    settings = TrackingSettings.resolve(default_directory=places.home)
    try:
        chosen = {run.run_id for run in runs_having(settings, NAMED_TAG)}
        for comparison in runs_having(settings, COMPARED_TAG):
            chosen |= set(comparison.tags[COMPARED_TAG].split())
    except BadInput:  # No run was ever recorded here.
        return set()
    keys: set[ArtifactKey] = set()
    for run_id in chosen:
        try:
            run = open_run(settings, run_id)
        except BadInput:  # It was deleted, or is one that had no images.
            continue
        for image in run.inputs.images if run.inputs.store == places.store_url else ():
            work = recorded_work(
                run.origin, image, places.store_url, max_pixels=run.inputs.max_pixels
            )
            for stage in STAGES:
                keys |= {work.key(stage), *work.artifacts(stage)}
    return keys
