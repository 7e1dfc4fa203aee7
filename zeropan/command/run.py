"""zeropan run: segment images, or all of a data set."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from zeropan.choices import Runner, TaskRuns
from zeropan.command.execution import console, print_json, run_flow, show
from zeropan.command.options import (
    Config,
    Device,
    Experiment,
    Home,
    Json,
    MethodName,
    Output,
    Overrides,
    Precision,
    Preset,
    RunName,
    Store,
    Verbose,
)
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS


def run(
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files; or a data set: folders, globs, COCO image lists, .txt lists. Paths "
            "or URLs such as s3://bucket/folder.",
            metavar="IMAGE...|DATASET...",
        ),
    ],
    things: Annotated[
        str | None, typer.Option(help='Countable objects, comma-separated: "nigiri, cup".')
    ] = None,
    stuff: Annotated[
        str | None, typer.Option(help='Surfaces and materials, comma-separated: "wood, cloth".')
    ] = None,
    config: Config = None,
    preset: Preset = None,
    method: MethodName = None,
    set_: Overrides = None,
    home: Home = None,
    store: Store = None,
    output: Output = None,
    experiment: Experiment = None,
    name: RunName = None,
    device: Device = "auto",
    precision: Precision = "auto",
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Images with more pixels are refused.")
    ] = DEFAULT_MAX_PIXELS,
    workers: Annotated[
        int, typer.Option(min=1, help="Of a data set: batches of images at a time.")
    ] = 1,
    runner: Annotated[
        Runner,
        typer.Option(help="Who runs them; auto: threads for one worker, else processes."),
    ] = "auto",
    task_runs: Annotated[
        TaskRuns,
        typer.Option(
            help="Of a data set: Prefect has a task run of each image's stages, or only "
            "of each batch of 16 images, for data sets of millions."
        ),
    ] = "stages",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Of a data set: only the first so many images.")
    ] = None,
    shuffle_seed: Annotated[
        int | None,
        typer.Option(help="Of a data set: a random order, so that several runs share the work."),
    ] = None,
    max_failures: Annotated[
        int, typer.Option(min=0, help="Of a data set: more failed images end the run as failed.")
    ] = 100,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Of a data set: only images that failed before."),
    ] = False,
    pictures: Annotated[
        int, typer.Option(min=0, help="Of a data set: images whose steps are drawn for MLflow.")
    ] = 8,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Segment images, or all of a data set, for things and stuff named in words."""
    from zeropan.request.inputs import refer_to
    from zeropan.request.request import build_request, split_words
    from zeropan.request.sources import is_collection, list_images

    request = build_request(
        things=split_words(things),
        stuff=split_words(stuff),
        config_file=config,
        preset=preset,
        method=method,
        overrides=set_ or [],
    )
    shared = {
        "categories": request.categories.model_dump(mode="json"),
        "config": request.config,
        "preset": request.preset,
        "method": request.method,
        "home": home,
        "store": store,
        "output": output,
        "experiment": experiment,
        "run_name": name,
        "device": device,
        "precision": precision,
        "max_pixels": max_pixels,
    }
    if retry_failed or is_collection(images):
        list_images(images)
        report = run_flow(
            "run",
            verbose,
            sources=images,
            workers=workers,
            runner=runner,
            task_runs=task_runs,
            limit=limit,
            shuffle_seed=shuffle_seed,
            max_failures=max_failures,
            retry_failed=retry_failed,
            pictures=pictures,
            **shared,
        )
        show_dataset(report, as_json)
        return
    refer_to(images[:limit], max_pixels=max_pixels, decode=True)
    show(run_flow("segment_images", verbose, images=images[:limit], **shared), as_json)


def show_dataset(report: dict[str, Any], as_json: bool) -> None:
    """Print a data set's report; exit code 3 where images failed."""
    from zeropan.reports.dataset import DatasetReport, render_dataset

    if as_json:
        print_json(report)
    else:
        render_dataset(DatasetReport.model_validate(report), console())
    if report["failed"]:
        raise typer.Exit(3)
