"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zeropan.choices import PrecisionChoice

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

Output = Annotated[str | None, typer.Option(help="Folder of pictures and PNGs.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with words and parameters.")]
MethodName = Annotated[
    str | None, typer.Option(help="default, or reference: the proof of concept's parameters.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")]
