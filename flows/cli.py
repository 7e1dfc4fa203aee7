"""The zeropan command. Each subcommand is in a file of its own: flows/cli_<name>.py."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from flows import (
    cli_compare,
    cli_evaluate,
    cli_models,
    cli_rerun,
    cli_run,
    cli_scenes,
    cli_store,
    cli_track,
)
from flows.cli_options import Experiment, Home
from flows.settings import Places
from segmentation.errors import BadInput, WeightsError, ZeropanError

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
