"""zeropan ui: MLflow's UI over the recorded runs."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer
from rich.console import Console

from zeropan.command.options import Experiment, Home
from zeropan.machine.environment import for_child
from zeropan.request.places import Places


def ui(
    home: Home = None,
    experiment: Experiment = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Start the MLflow UI on this machine, on the right tracking store, until it is stopped."""
    from zeropan.pictures.panels import PANELS
    from zeropan.tracking.settings import TrackingSettings
    from zeropan.tracking.ui import save_view, ui_command, ui_environment, view_link

    home_folder = Places.resolve(home=home).home
    settings = TrackingSettings.resolve(default_directory=home_folder, experiment=experiment)
    command = ui_command(settings, port=port)
    link = view_link(f"http://127.0.0.1:{port}", save_view(settings, PANELS))
    Console().print(
        f"MLflow UI: {link}\nCtrl-C stops it.\nhome      {home_folder}",
        highlight=False,
        soft_wrap=True,
    )
    try:
        finished = subprocess.run(command, env=for_child(ui_environment()), check=False)
    except KeyboardInterrupt:
        return
    raise typer.Exit(finished.returncode)
