"""The chain of one image: which task follows which. Read this first.

embed_image   ground_things   score_stuff
│    ┌────────┘               │
things ──────────────► stuff_regions
│                             │
│          stuff_masks ◄──────┤      (stuff_masks also reads embed_image)
└──────────► panoptic ◄───────┘
"""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.utilities.annotations import NotSet, quote

from zeropan.errors import ArtifactDamaged, ArtifactMissing
from zeropan.reports.progress import report
from zeropan.tasks import perception, steps
from zeropan.tasks.cache import StageOutcomeSerializer
from zeropan.tasks.work import STAGES, UPSTREAM, ImageWork, Stage, StageOutcome

TASKS: dict[Stage, Task[[ImageWork], dict[str, Any]]] = {
    "embed_image": perception.embed_image,
    "ground_things": perception.ground_things,
    "score_stuff": perception.score_stuff,
    "things": steps.things,
    "stuff_regions": steps.stuff_regions,
    "stuff_masks": steps.stuff_masks,
    "panoptic": steps.panoptic,
}


def below(stage: Stage) -> tuple[Stage, ...]:
    """A stage and every stage that reads from it, in order."""
    found = [stage]
    for other in STAGES:
        if other not in found and any(upper in found for upper in UPSTREAM[other]):
            found.append(other)
    return tuple(other for other in STAGES if other in found)


def run_chain(
    work: ImageWork, *, done: int = 0, total: int = 1, as_tasks: bool = True
) -> list[StageOutcome]:
    """Run the seven tasks of one image inside a flow, each from the cache if it can be.

    Args:
        work: the image, its words, its parameters and its keys.
        done: images finished before this one, for the progress report.
        total: images of the whole run, for the progress report.
        as_tasks: each stage is a Prefect task run. Without, the stages run as plain functions
            within the caller's task: the store is their cache, and nothing retries them.

    Raises:
        ZeropanError: a task failed for good.
    """
    try:
        return _run_once(work, done, total, as_tasks)
    except (ArtifactMissing, ArtifactDamaged):
        # Something upstream was damaged after its task had answered. Its own task computes it
        # again, so a second pass mends the chain; a third would only hide a real fault.
        return _run_once(work, done, total, as_tasks)


def _run_once(work: ImageWork, done: int, total: int, as_tasks: bool) -> list[StageOutcome]:
    serializer = StageOutcomeSerializer(store_url=work.store_url)
    states: dict[Stage, State[Any]] = {}
    outcomes = []
    for stage in STAGES:
        report(done, total, stage.replace("_", " "))
        if not as_tasks:
            outcomes.append(StageOutcome.model_validate(TASKS[stage].fn(work)))
            continue
        task = TASKS[stage].with_options(
            result_serializer=serializer,
            refresh_cache=True if stage in work.force else NotSet,
        )
        above = [states[other] for other in UPSTREAM[stage] if other in states]
        # Quoted: Prefect need not look for futures among a thousand category names.
        state = task(quote(work), wait_for=above, return_state=True)
        states[stage] = state
        outcome = StageOutcome.model_validate(state.result(raise_on_failure=True))
        if state.name == "Cached":
            outcome = outcome.reused()
        outcomes.append(outcome)
    return outcomes
