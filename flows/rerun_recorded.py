"""Run a recorded run again with parameters changed; only what depends on them is computed."""

from __future__ import annotations

import logging
from typing import Any

from prefect import flow

from zeropan.choices import PrecisionChoice
from zeropan.errors import BadInput, WeightsError
from zeropan.flows.chain import below
from zeropan.flows.job import Job
from zeropan.flows.segment_images import segment
from zeropan.models.presets import ModelIdentities, identities
from zeropan.request.places import Places
from zeropan.request.recorded import RecordedRun, open_run
from zeropan.request.request import Request
from zeropan.tasks.work import STAGES, Stage
from zeropan.tracking.settings import TrackingSettings

logger = logging.getLogger(__name__)


@flow(name="rerun", validate_parameters=True, result_serializer="json")
def rerun(
    run: str = "latest",
    changes: list[str] | None = None,
    from_stage: str | None = None,
    home: str | None = None,
    store: str | None = None,
    output: str | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
) -> dict[str, Any]:
    """Run a recorded run again with other parameters; unaffected stages come from the cache.

    Args:
        run: an MLflow run's id, the beginning of one, or "latest".
        changes: parameters to change, each as "stage.parameter=value", such as
            "things.box_threshold=0.25".
        from_stage: compute this stage and those below it even if they are stored: embed_image,
            ground_things, score_stuff, things, stuff_regions, stuff_masks or panoptic.
        home: folder of everything that is kept; by default ZEROPAN_HOME or ./zeropan-data.
        store: folder or fsspec URL of the artifacts; by default the one that the run used.
        output: folder of pictures and panoptic files; by default below `home`.
        experiment: name of the MLflow experiment; by default MLFLOW_EXPERIMENT_NAME or zeropan.
        run_name: name of the new MLflow run; by default made from what changed.
        device: auto, cpu, cuda or mps.
        precision: of the backbones: fp32, bf16, or auto (bf16 where the device is fast at it).
    """
    places = Places.resolve(home=home, store=store, output=output)
    origin, request = prepare(run, changes or [], places, experiment)
    job = job_of(
        origin,
        request,
        places if store else Places(places.home, origin.inputs.store, places.output),
        force=forced(from_stage),
        device=device,
        precision=precision,
        experiment=experiment,
        name=run_name,
    )
    return segment(job).model_dump(mode="json")


def prepare(
    run: str, changes: list[str], places: Places, experiment: str | None
) -> tuple[RecordedRun, Request]:
    """Find the run and check the changes; nothing runs.

    Raises:
        BadInput: no such run, or a change is not possible.
    """
    settings = TrackingSettings.resolve(default_directory=places.home, experiment=experiment)
    return open_run(settings, run, overrides=changes)


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


def job_of(
    origin: RecordedRun,
    request: Request,
    places: Places,
    *,
    force: tuple[Stage, ...] = (),
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    experiment: str | None = None,
    name: str | None = None,
) -> Job:
    """The job that runs a recorded run's images with another request."""
    return Job(
        places=places,
        request=request,
        images=list(origin.inputs.images),
        models=_models(origin),
        device=device,
        precision=precision,
        max_pixels=origin.inputs.max_pixels,
        experiment=experiment,
        name=name,
        force=force,
        origin=origin,
    )


def _models(origin: RecordedRun) -> ModelIdentities:
    """The preset's models as they are here; those of the run where there are none.

    Without weights the keys can still be planned, and stages that need no model, or are stored,
    still be had; a stage that does need one says what is missing.
    """
    try:
        here = identities(origin.request.preset)
    except WeightsError as error:
        logger.warning("%s; only stages that need no model can be computed", error)
        return origin.inputs.identities
    if here != origin.inputs.identities:
        logger.warning(
            "the weights of preset %r are not those of run %s; what they affect is computed again",
            origin.request.preset,
            origin.run_id[:12],
        )
    return here
