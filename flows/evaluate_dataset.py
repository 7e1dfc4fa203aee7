"""The flow that measures panoptic quality on a data set with truth."""

from __future__ import annotations

from typing import Any

from prefect import flow

from zeropan.flows.evaluate_images import evaluate_images
from zeropan.request.setup import Setup


@flow(name="evaluate", validate_parameters=True, result_serializer="json")
def evaluate(
    dataset: str,
    images: str | None = None,
    panoptic: str | None = None,
    setup: Setup = Setup(),  # noqa: B008
) -> Any:
    """Measure panoptic quality with every word of the data set prompted; cached work is reused.

    Args:
        dataset: a COCO-panoptic JSON, a folder that holds annotations/panoptic*.json and images,
            or rendered scenes: scenes:N or scenes:SEED0-SEED1.
        images: folder or URL of the data set's images; by default looked for beside the JSON.
        panoptic: folder of the panoptic PNGs; by default that named like the JSON.
        setup: what is asked and how it is done; the words are the data set's.
    """
    return evaluate_images(dataset=dataset, images=images, panoptic=panoptic, setup=setup)
