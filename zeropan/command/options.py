"""Options that several commands share, and how they become one Setup."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from zeropan.choices import PrecisionChoice, Runner, ShardPlace, TaskRuns

Home = Annotated[
    str | None, typer.Option(help="Folder of everything that is kept (default: ./zeropan-data).")
]
Store = Annotated[str | None, typer.Option(help="Folder or URL of the artifacts.")]
Output = Annotated[str | None, typer.Option(help="Folder of pictures and PNGs.")]
Experiment = Annotated[str | None, typer.Option(help="Name of the MLflow experiment.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the log of the flow.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with a setup.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="One parameter, such as things.box_threshold=0.25; may be repeated."
    ),
]

WORDS: Mapping[str, Any] = {
    "things": Annotated[
        str | None, typer.Option(help='Countable objects, comma-separated: "nigiri, cup".')
    ],
    "stuff": Annotated[
        str | None, typer.Option(help='Surfaces and materials, comma-separated: "wood, cloth".')
    ],
}
WHAT: Mapping[str, Any] = {
    "preset": Annotated[
        str | None,
        typer.Option(
            help="The models' preset, and models that stand in for its own: base+sam_vit_l "
            "(default: tiny); `zeropan models list` names them."
        ),
    ],
    "method": Annotated[
        str | None, typer.Option(help="default, or reference: the proof of concept's parameters.")
    ],
    "precision": Annotated[
        PrecisionChoice | None,
        typer.Option(
            help="Of the backbones: fp32, bf16, or auto: bf16 where the device is fast at it "
            "(default: auto)."
        ),
    ],
}
"""Fields of `What`, besides the words and the parameters."""
HOW: Mapping[str, Any] = {
    "home": Home,
    "store": Store,
    "output": Output,
    "experiment": Experiment,
    "name": Annotated[str | None, typer.Option(help="Name of the MLflow run.")],
    "device": Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps (default: auto).")],
    "max_pixels": Annotated[
        int | None, typer.Option(min=1, help="Images with more pixels are refused.")
    ],
    "workers": Annotated[
        int | None, typer.Option(min=1, help="Batches of images at a time (default: 1).")
    ],
    "runner": Annotated[
        Runner | None,
        typer.Option(help="Who runs them; auto: threads for one worker, else processes."),
    ],
    "task_runs": Annotated[
        TaskRuns | None,
        typer.Option(
            help="Prefect has a task run of each image's stages, or only of each batch of 16 "
            "images, for data sets of millions (default: stages)."
        ),
    ],
    "limit": Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")],
    "max_failures": Annotated[
        int | None, typer.Option(min=0, help="More failed images end the run (default: 100).")
    ],
    "pictures": Annotated[
        int | None,
        typer.Option(min=0, help="Of so many first images the steps are drawn (default: 8)."),
    ],
}
"""Fields of `How` that every command has which goes through images."""
SOURCES: Mapping[str, Any] = {
    "shuffle_seed": Annotated[
        int | None, typer.Option(help="A random order, so that several runs share the work.")
    ],
}
RETRY: Mapping[str, Any] = {
    "retry_failed": Annotated[
        bool, typer.Option("--retry-failed", help="Only images that failed before.")
    ],
    "shards": Annotated[
        ShardPlace | None,
        typer.Option(
            help="Of more than 20,000 images: the runs they are cut into take place here, or as "
            "runs of a deployment, by the workers of its pool (default: here)."
        ),
    ],
}


@dataclass(frozen=True)
class Given:
    """What the command line says of a setup; None where it says nothing."""

    words: Mapping[str, str | None] = field(default_factory=dict)
    what: Mapping[str, Any] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)
    config: Path | None = None
    overrides: tuple[str, ...] = ()


def takes(*groups: Mapping[str, Any], parameters: bool = True) -> Callable[[Any], Any]:
    """Give a command the options of these groups; it gets them as one `given: Given`.

    Args:
        groups: of `WORDS`, `WHAT`, `HOW` and the others.
        parameters: whether it also has --config and --set.
    """
    options = {name: option for group in groups for name, option in group.items()}
    if parameters:
        options |= {"config": Config, "overrides": Overrides}

    def around(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)

        @functools.wraps(command)
        def called(**values: Any) -> None:
            said = {name: values.pop(name) for name in options}
            command(**values, given=_given(said))

        shared = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if name == "retry_failed" else None,
                annotation=option,
            )
            for name, option in options.items()
        ]
        rest = [parameter for name, parameter in own.parameters.items() if name != "given"]
        every = [
            *(one for one in rest if one.name not in ("as_json", "verbose")),
            *shared,
            *(one for one in rest if one.name in ("as_json", "verbose")),
        ]
        # Typer reads a command's options from its signature.
        named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in every]
        called.__signature__ = own.replace(parameters=named)  # type: ignore[attr-defined]
        called.__annotations__ = {one.name: one.annotation for one in named} | {"return": None}
        return called

    return around


def _given(said: Mapping[str, Any]) -> Given:
    def of(*groups: Mapping[str, Any]) -> dict[str, Any]:
        return {name: said[name] for group in groups for name in group if name in said}

    how = of(HOW, SOURCES, RETRY)
    if not how.get("retry_failed"):
        how.pop("retry_failed", None)
    return Given(
        words=of(WORDS),
        what=of(WHAT),
        how=how,
        config=said.get("config"),
        overrides=tuple(said.get("overrides") or ()),
    )
