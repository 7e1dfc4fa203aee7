"""The flow that keeps the store from growing for ever, for a schedule."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from zeropan.request.places import Places
from zeropan.segmentation.images import shown
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import GRACE_S, prune
from zeropan.tasks.work import Stage


@flow(name="prune", validate_parameters=True, result_serializer="json")
def prune_store(
    home: str | None = None,
    store: str | None = None,
    older_than_days: float | None = Field(default=None, ge=0),
    stages: list[Stage] | None = None,
    grace_s: float = Field(default=GRACE_S, ge=0),
    dry_run: bool = False,
) -> dict[str, Any]:
    """Remove damaged artifacts, what interrupted writes left behind, and what is too old.

    Args:
        home: folder of everything that is kept; by default ZEROPAN_HOME or ./zeropan-data.
        store: folder or fsspec URL of the artifacts; by default below `home`.
        older_than_days: artifacts made longer ago go, too; None removes none for its age.
        stages: with older_than_days, only artifacts of these stages.
        grace_s: attempts that changed in the last so many seconds are kept.
        dry_run: only say what would be removed.
    """
    places = Places.resolve(home=home, store=store)
    report = prune(
        ArtifactStore(places.store_url),
        grace_s=grace_s,
        older_than_s=None if older_than_days is None else older_than_days * 86400,
        stages=stages,
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
