"""The flow that runs a recorded run again: its images, with parameters changed."""

from __future__ import annotations

import logging
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from zeropan.errors import BadInput, WeightsError
from zeropan.flows.chain import below
from zeropan.flows.job import Job
from zeropan.flows.recording import Recording, due, ended, record, report_fields
from zeropan.models.presets import ModelIdentities, identities
from zeropan.reports.run import RunReport
from zeropan.request.places import Places
from zeropan.request.recorded import RecordedRun, changed, open_run
from zeropan.request.setup import How, Setup
from zeropan.request.sources import Images, Known, title_of
from zeropan.tasks.work import STAGES, Stage
from zeropan.tracking.settings import TrackingSettings

logger = logging.getLogger(__name__)


@flow(name="rerun", validate_parameters=True, result_serializer="json")
def rerun(
    run: str = "latest",
    changes: list[str] | None = None,
    from_stage: str | None = None,
    how: How = How(),  # noqa: B008
) -> Any:
    """Run a recorded run again with other parameters; unaffected stages come from the cache.

    An evaluation is run again as an evaluation, a sweep as a sweep.

    Args:
        run: an MLflow run's id, the beginning of one, or "latest".
        changes: parameters to change, each as "stage.parameter=value", such as
            "things.box_threshold=0.25".
        from_stage: compute this stage and those below it even if they are stored: embed_image,
            ground_things, score_stuff, things, stuff_regions, stuff_masks or panoptic.
        how: how it is done; the store is by default the one that the run used.
    """
    return run_again(run, changes or [], from_stage, how)


def run_again(run: str, changes: list[str], from_stage: str | None, how: How) -> State[Any]:
    """Run a recorded run again inside a flow.

    Raises:
        BadInput: no such run, no such stage, or a change is not possible.
        TooManyFailures: more images failed than are allowed, or all of them.
    """
    recorded = find(run, how)
    if recorded.inputs.command == "evaluate":
        from zeropan.flows.evaluate_images import evaluate_images

        return evaluate_images(**recorded.inputs.options, setup=setup_of(recorded, changes, how))
    if recorded.inputs.command == "sweep":
        from zeropan.flows.sweep_images import sweep_images

        return sweep_images(**recorded.inputs.options, setup=setup_of(recorded, changes, how))
    if recorded.inputs.shards:
        return _each_shard(recorded, changes, from_stage, how)
    job = job_of(recorded, changes, from_stage, how)
    images = due(job, images_of(recorded, how))
    locations = list(images) or [image.location for image in recorded.inputs.images]
    report = RunReport(command="rerun", **report_fields(job, locations, images))
    return ended(record(job, images, Recording("run", title_of(locations), report)))


def find(run: str, how: How) -> RecordedRun:
    """The recorded run that a person means.

    Raises:
        BadInput: there is none.
    """
    settings = TrackingSettings.resolve(
        default_directory=Places.of(how).home, experiment=how.experiment
    )
    return open_run(settings, run)


def setup_of(recorded: RecordedRun, changes: list[str], how: How) -> Setup:
    """The setup of the run that changes a recorded one.

    Raises:
        BadConfig: a change is not possible.
    """
    update: dict[str, Any] = {"max_pixels": max(how.max_pixels, recorded.inputs.max_pixels)}
    if how.store is None:
        update["store"] = recorded.inputs.store
    return Setup(what=changed(recorded.what, changes), how=how.model_copy(update=update))


def job_of(recorded: RecordedRun, changes: list[str], from_stage: str | None, how: How) -> Job:
    """The job of the run that changes a recorded one.

    Raises:
        BadInput: no such stage, or a change is not possible.
    """
    setup = setup_of(recorded, changes, how)
    return Job(
        setup,
        Places.of(setup.how),
        _models(recorded),
        force=forced(from_stage),
        origin=recorded.origin,
    )


def images_of(recorded: RecordedRun, how: How) -> Images:
    """The recorded images, named by their bytes."""
    images = recorded.inputs.images[: how.limit]
    return {image.location: Known(sha256=image.sha256) for image in images}


def forced(from_stage: str | None) -> tuple[Stage, ...]:
    """The stage of this name and all below it; none for None.

    Raises:
        BadInput: there is no such stage.
    """
    if from_stage is None:
        return ()
    wanted = from_stage.replace("-", "_")
    for stage in STAGES:
        if stage == wanted:
            return below(stage)
    raise BadInput(f"{from_stage!r} is no stage; use one of {', '.join(STAGES)}")


def _each_shard(
    recorded: RecordedRun, changes: list[str], from_stage: str | None, how: How
) -> State[Any]:
    """Run every part of a run that was cut into several again, as runs below this one."""
    from zeropan.flows.shards import rerun_shards

    job = job_of(recorded, changes, from_stage, how)
    report = RunReport(command="rerun", **report_fields(job, [recorded.found.name], {}))
    return ended(rerun_shards(job, recorded, report, changes=changes, from_stage=from_stage))


def _models(recorded: RecordedRun) -> ModelIdentities:
    """The preset's models as they are here; those of the run where there are none.

    Without weights the keys can still be planned, and stages that need no model, or are stored,
    still be had; a stage that does need one says what is missing.
    """
    try:
        here = identities(recorded.what.preset)
    except WeightsError as error:
        logger.warning("%s; only stages that need no model can be computed", error)
        return recorded.inputs.identities
    if here != recorded.inputs.identities:
        logger.warning(
            "the weights of preset %r are not those of run %s; what they affect is computed again",
            recorded.what.preset,
            recorded.run_id[:12],
        )
    return here
