"""The zeropan command. Each subcommand is in a file of its own: flows/cli_<name>.py."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from zeropan.command import compare as cli_compare
from zeropan.command import evaluate as cli_evaluate
from zeropan.command import models as cli_models
from zeropan.command import rerun as cli_rerun
from zeropan.command import run as cli_run
from zeropan.command import scenes as cli_scenes
from zeropan.command import store as cli_store
from zeropan.command import track as cli_track
from zeropan.command.options import Experiment, Home
from zeropan.errors import BadInput, WeightsError, ZeropanError
from zeropan.request.places import Places

app = typer.Typer(
    name="zeropan",
    help="Zero-shot panoptic segmentation as a pipeline you can re-run stage by stage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(cli_run.run)
app.command()(cli_rerun.rerun)
app.command()(cli_rerun.sweep)
app.command()(cli_run.demo)
app.command("eval")(cli_evaluate.evaluate)
app.command()(cli_compare.compare)
app.add_typer(cli_store.app, name="store")
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_track.app, name="track")
app.add_typer(cli_scenes.app, name="scenes")


@app.command()
def ui(
    home: Home = None,
    experiment: Experiment = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Start the MLflow UI on this machine, on the right tracking store, until it is stopped."""
    from zeropan.pictures.panels import PANELS
    from zeropan.tracking.settings import TrackingSettings
    from zeropan.tracking.ui import save_view, ui_command, ui_environment, view_link

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
