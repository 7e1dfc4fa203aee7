"""A grid of parameter values over images: perception once, every point a nested MLflow run."""

from __future__ import annotations

from typing import Any

from prefect import flow

from zeropan.choices import Method, PrecisionChoice
from zeropan.errors import BadInput
from zeropan.flows.gallery import Gallery
from zeropan.flows.job import Job
from zeropan.flows.sweep_points import Sweep, Truth
from zeropan.models.presets import find_preset, identities
from zeropan.request.grid import parse_grid, points
from zeropan.request.inputs import refer_to
from zeropan.request.places import Places
from zeropan.request.request import Request
from zeropan.request.truth_sources import open_source
from zeropan.request.words import CategoryLists
from zeropan.segmentation.config import PipelineConfig
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS


@flow(name="sweep", validate_parameters=True, result_serializer="json")
def sweep(
    grid: list[str],
    images: list[str] | None = None,
    categories: CategoryLists | None = None,
    dataset: str | None = None,
    limit: int | None = None,
    config: PipelineConfig | None = None,
    preset: str = "tiny",
    method: Method = "default",
    home: str | None = None,
    store: str | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> dict[str, Any]:
    """Run every point of a grid of parameters; a sweep that was interrupted goes on.

    Args:
        grid: axes, each as "stage.parameter=value,value".
        images: local paths or fsspec URLs; needs `categories`.
        categories: the words to look for in `images`.
        dataset: instead of images, a data set with truth, as the flow evaluate takes it.
        limit: only the first so many images of the data set.
        config: the parameters outside of the grid; by default the method's.
        preset: name of the models' preset.
        method: whose parameters to take where `config` is not given.
        home: folder of everything that is kept; by default ZEROPAN_HOME or ./zeropan-data.
        store: folder or fsspec URL of the artifacts; by default below `home`.
        experiment: name of the MLflow experiment; by default MLFLOW_EXPERIMENT_NAME or zeropan.
        run_name: name of the parent MLflow run; by default made from the grid.
        device: auto, cpu, cuda or mps.
        precision: of the backbones: fp32, bf16, or auto (bf16 where the device is fast at it).
        max_pixels: larger images are refused before they are decoded.
    """
    places = Places.resolve(home=home, store=store)
    truth: Truth | None = None
    if dataset is not None:
        source = open_source(dataset, places.home, limit=limit)
        words, locations, truth = source.categories, source.locations, source.truth
    elif images and categories:
        words, locations = categories.resolved(), images
    else:
        raise BadInput("a sweep needs images with words, or a data set; give one of the two")
    base = config if config is not None else find_preset(preset).config_for(method)
    axes = parse_grid(grid)
    every = points(base, axes)
    job = Job(
        places=places,
        request=Request(words, base, preset, method),
        images=refer_to(locations, max_pixels=max_pixels),
        models=identities(preset),
        device=device,
        precision=precision,
        max_pixels=max_pixels,
        experiment=experiment,
        name=run_name or f"sweep {', '.join(path.rpartition('.')[2] for path in axes)}",
    )
    return Sweep(job, every, truth, Gallery(places.home)).run().model_dump(mode="json")
