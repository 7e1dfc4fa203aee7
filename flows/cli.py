"""The zeropan command."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from flows import cli_compare, cli_models, cli_scenes, cli_store, cli_track
from flows.settings import DEFAULT_MAX_PIXELS, Places
from models.components import PrecisionChoice
from segmentation.errors import BadInput, WeightsError, ZeropanError

app = typer.Typer(
    name="zeropan",
    help="Zero-shot panoptic segmentation as a pipeline you can re-run stage by stage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(cli_compare.compare)
app.add_typer(cli_store.app, name="store")
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_track.app, name="track")
app.add_typer(cli_scenes.app, name="scenes")

Home = Annotated[
    str | None, typer.Option(help="Folder of everything that is kept [default: ./zeropan-data].")
]
Store = Annotated[str | None, typer.Option(help="Folder or URL of the artifacts.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="One parameter, such as things.box_threshold=0.25; may be repeated."
    ),
]
Experiment = Annotated[str | None, typer.Option(help="Name of the MLflow experiment.")]
RunName = Annotated[str | None, typer.Option(help="Name of the MLflow run.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[
    PrecisionChoice,
    typer.Option(
        help="Of the backbones: fp32, bf16, or auto: bf16 where the device is fast at it."
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="The models' preset, and models that stand in for its own: base+sam_vit_l "
        "[default: tiny]; `zeropan models list` names them."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the log of the flow.")]

RunnerName = Literal["auto", "threads", "processes", "dask"]
TaskRunsName = Literal["stages", "batches"]

FLOWS = {
    "run": "flows.run",
    "segment_images": "flows.segment",
    "rerun": "flows.rerun",
    "sweep": "flows.sweep",
    "evaluate": "flows.evaluate",
}
"""Where each flow is; importing them takes seconds, so it waits until one is wanted."""


@app.command()
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
    config: Annotated[
        Path | None, typer.Option(help="YAML file with words and parameters.")
    ] = None,
    preset: Preset = None,
    method: Annotated[
        str | None, typer.Option(help="default, or reference: the proof of concept's parameters.")
    ] = None,
    set_: Overrides = None,
    home: Home = None,
    store: Store = None,
    output: Annotated[str | None, typer.Option(help="Folder of pictures and PNGs.")] = None,
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
        RunnerName,
        typer.Option(help="Who runs them; auto: threads for one worker, else processes."),
    ] = "auto",
    task_runs: Annotated[
        TaskRunsName,
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
    from flows.inputs import refer_to
    from flows.request import build_request, split_words
    from flows.sources import is_collection, list_images

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


@app.command()
def rerun(
    run: Annotated[
        str, typer.Argument(help="An MLflow run's id, the beginning of one, or latest.")
    ] = "latest",
    set_: Overrides = None,
    from_stage: Annotated[
        str | None,
        typer.Option("--from", help="Compute this stage and those below it, stored or not."),
    ] = None,
    home: Home = None,
    store: Store = None,
    output: Annotated[str | None, typer.Option(help="Folder of pictures and PNGs.")] = None,
    experiment: Experiment = None,
    name: RunName = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run a recorded run again with parameters changed; what they do not affect is cached."""
    set_up_prefect(verbose)
    from flows.rerun import forced, prepare

    forced(from_stage)
    origin, _ = prepare(run, set_ or [], Places.resolve(home=home), experiment)
    report = run_flow(
        "rerun",
        verbose,
        run=origin.run_id,
        changes=set_ or [],
        from_stage=from_stage,
        home=home,
        store=store,
        output=output,
        experiment=experiment,
        run_name=name,
        device=device,
        precision=precision,
    )
    show(report, as_json)


@app.command()
def sweep(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Image files or URLs; or one data set with truth, as `zeropan eval` takes it.",
            metavar="IMAGE...|DATASET",
        ),
    ],
    grid: Annotated[
        list[str],
        typer.Option(help="One axis, such as things.box_threshold=0.2,0.3,0.4; may be repeated."),
    ],
    things: Annotated[str | None, typer.Option(help="As for `zeropan run`.")] = None,
    stuff: Annotated[str | None, typer.Option(help="As for `zeropan run`.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with parameters.")] = None,
    preset: Preset = None,
    method: Annotated[str | None, typer.Option(help="default or reference.")] = None,
    set_: Overrides = None,
    home: Home = None,
    store: Store = None,
    experiment: Experiment = None,
    name: RunName = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run every combination of parameter values; perception runs once, points are MLflow runs."""
    set_up_prefect(verbose)
    from flows.eval_sources import is_dataset, open_source
    from flows.grid import parse_grid, points
    from flows.inputs import refer_to
    from flows.request import build_request, split_words
    from flows.sweep_report import SweepReport, render_sweep

    dataset = sources[0] if is_dataset(sources) else None
    known = None
    if dataset:
        place = Places.resolve(home=home).home
        known = open_source(dataset, place, limit=limit, render=False).categories
    request = build_request(
        things=split_words(things),
        stuff=split_words(stuff),
        categories=known,
        config_file=config,
        preset=preset,
        method=method,
        overrides=set_ or [],
    )
    points(request.config, parse_grid(grid))
    if not dataset:
        refer_to(sources, max_pixels=DEFAULT_MAX_PIXELS, decode=True)
    report = run_flow(
        "sweep",
        verbose,
        grid=grid,
        images=None if dataset else sources[:limit],
        categories=None if dataset else request.categories.model_dump(mode="json"),
        dataset=dataset,
        limit=limit,
        config=request.config,
        preset=request.preset,
        method=request.method,
        home=home,
        store=store,
        experiment=experiment,
        run_name=name,
        device=device,
        precision=precision,
    )
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    else:
        render_sweep(SweepReport.model_validate(report), console())


@app.command()
def demo(
    home: Home = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Render a tabletop scene and segment it with the bundled tiny models."""
    from flows import demo as demonstration

    scene = demonstration.prepare(Places.resolve(home=home).home)
    report = run_flow("segment_images", verbose, **demonstration.flow_parameters(scene, home))
    show(report, as_json)
    if not as_json:
        demonstration.conclude(scene, report, Console())


@app.command("eval")
def evaluate(
    dataset: Annotated[
        str,
        typer.Argument(
            help="COCO-panoptic JSON, or a folder that holds annotations/panoptic*.json and images;"
            " or rendered scenes: scenes:N or scenes:SEED0-SEED1."
        ),
    ],
    images: Annotated[
        str | None, typer.Option(help="Folder or URL of the data set's images.")
    ] = None,
    panoptic: Annotated[str | None, typer.Option(help="Folder of its panoptic PNGs.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with parameters.")] = None,
    preset: Preset = None,
    method: Annotated[str | None, typer.Option(help="default or reference.")] = None,
    set_: Overrides = None,
    home: Home = None,
    store: Store = None,
    experiment: Experiment = None,
    name: RunName = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure panoptic quality against a data set's truth; cached work is reused."""
    from flows.eval_report import EvalReport, render_evaluation
    from flows.eval_sources import open_source
    from flows.request import build_request

    source = open_source(
        dataset,
        Places.resolve(home=home).home,
        images=images,
        panoptic=panoptic,
        limit=limit,
        render=False,
    )
    request = build_request(
        categories=source.categories,
        config_file=config,
        preset=preset,
        method=method,
        overrides=set_ or [],
    )
    report = run_flow(
        "evaluate",
        verbose,
        dataset=dataset,
        images=images,
        panoptic=panoptic,
        limit=limit,
        config=request.config,
        preset=request.preset,
        method=request.method,
        home=home,
        store=store,
        experiment=experiment,
        run_name=name,
        device=device,
        precision=precision,
    )
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    else:
        render_evaluation(EvalReport.model_validate(report), console())


@app.command()
def ui(
    home: Home = None,
    experiment: Experiment = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Start the MLflow UI on this machine, on the right tracking store, until it is stopped."""
    from tracking.pictures import PANELS
    from tracking.settings import TrackingSettings
    from tracking.ui import save_view, ui_command, ui_environment, view_link

    settings = TrackingSettings.resolve(
        default_directory=Places.resolve(home=home).home, experiment=experiment
    )
    command = ui_command(settings, port=port)
    link = view_link(f"http://127.0.0.1:{port}", save_view(settings, PANELS))
    Console().print(f"MLflow UI: {link}\nCtrl-C stops it.", highlight=False, soft_wrap=True)
    try:
        finished = subprocess.run(command, env=os.environ | ui_environment(), check=False)
    except KeyboardInterrupt:
        return
    raise typer.Exit(finished.returncode)


def set_up_prefect(verbose: bool) -> None:
    """Prefect's settings for a command; call it before anything imports Prefect."""
    # Prefect reads these when it is imported; what the user has set stays.
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # The temporary server makes its database first; on a busy machine 20 seconds are too few.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def run_flow(name: str, verbose: bool, **parameters: Any) -> dict[str, Any]:
    """Run a flow in this process, with a progress bar on a terminal."""
    from flows.inputs import refuse_passwords

    # Before Prefect records the parameters, and before its server is started in vain.
    refuse_passwords(parameters.get("sources") or parameters.get("images") or ())
    Places.resolve(home=parameters.get("home"), store=parameters.get("store"))
    set_up_prefect(verbose)
    from flows.history import wait_for_history
    from flows.progress import progress_bar
    from models.loading import resolve_device

    if "device" in parameters:
        resolve_device(parameters["device"])
    flow = getattr(importlib.import_module(FLOWS[name]), name)
    with progress_bar(Console(stderr=True)):
        report: dict[str, Any] = flow(**parameters)
        recorded = wait_for_history(report["flow_run_id"], report["task_runs"])
    if not recorded:
        report["warnings"].append("Prefect did not record every task run before the end")
    return report


def console() -> Console:
    """Where results are printed: as wide as the terminal, and wide enough where there is none."""
    return Console(width=None if sys.stdout.isatty() else 140)


def show_dataset(report: dict[str, Any], as_json: bool) -> None:
    """Print a data set's report; exit code 3 where images failed."""
    from flows.dataset_report import DatasetReport, render_dataset

    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    else:
        render_dataset(DatasetReport.model_validate(report), console())
    if report["failed"]:
        raise typer.Exit(3)


def show(report: dict[str, Any], as_json: bool) -> None:
    """Print a report for a person, or as one JSON object."""
    from flows.report import RunReport, render

    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    else:
        render(RunReport.model_validate(report), console())


@app.callback(invoke_without_command=True)
def _global(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        sys.stdout.write(f"zeropan {version('zeropan')}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        raise typer.Exit


def main() -> None:
    """Run the command; a mistake of the user's is one sentence and exit code 2."""
    try:
        app()
    except (BadInput, WeightsError) as error:
        sys.stderr.write(f"zeropan: {error}\n")
        raise SystemExit(2) from None
    except ZeropanError as error:
        sys.stderr.write(f"zeropan: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
