"""The flow that runs every point of a grid of parameters over the same images."""

from __future__ import annotations

from typing import Any

from prefect import flow

from zeropan.flows.sweep_images import sweep_images
from zeropan.request.setup import Setup


@flow(name="sweep", validate_parameters=True, result_serializer="json")
def sweep(
    grid: list[str],
    images: list[str] | None = None,
    dataset: str | None = None,
    setup: Setup = Setup(),  # noqa: B008
) -> Any:
    """Run every point of a grid of parameters; a sweep that was interrupted goes on.

    Args:
        grid: axes, each as "stage.parameter=value,value".
        images: image files, folders, globs or lists; paths or fsspec URLs; needs words.
        dataset: instead of images, a data set with truth, as the flow evaluate takes it.
        setup: what is asked outside of the grid, and how it is done.
    """
    return sweep_images(grid=grid, images=images, dataset=dataset, setup=setup)
