"""The flow that runs a recorded run again, with parameters changed."""

from __future__ import annotations

from typing import Any

from prefect import flow

from zeropan.flows.deployed import takes_release_0_1
from zeropan.flows.run_again import run_again
from zeropan.request.setup import How


@takes_release_0_1
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
