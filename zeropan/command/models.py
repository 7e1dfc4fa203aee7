"""zeropan models: the published models on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from zeropan.command.options import Json
from zeropan.errors import BadConfig
from zeropan.models.presets import PRESETS, TINY, folder_of, models_folder, parse_preset, size_text
from zeropan.models.published.components import COMPONENTS, Component

app = typer.Typer(help="The published models: get, check and remove them.", no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        help="A preset (base, reference, large, base+sam_vit_l) or one model (sam_vit_b).",
        metavar="PRESET|MODEL",
    ),
]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List presets, and every published file with its source, size, SHA-256 and licence."""
    if as_json:
        return _dump(
            {
                "folder": str(models_folder()),
                "presets": {
                    preset.name: [component.name for component in preset.components]
                    for preset in PRESETS.values()
                },
                "models": [_as_json(component) for component in COMPONENTS.values()],
            }
        )
    console = Console(width=None if sys.stdout.isatty() else 160)
    presets = Table(show_edge=False, pad_edge=False)
    for column in ("preset", "detector", "segmenter", "text segmenter", "download", "what it is"):
        presets.add_column(column, justify="right" if column == "download" else "left")
    for preset in PRESETS.values():
        files = sum(component.bytes for component in preset.components)
        presets.add_row(
            preset.name,
            *(component.name for component in preset.components),
            size_text(files) if files else "ships with zeropan",
            preset.description,
        )
    console.print(presets)
    console.print()
    table = Table(show_edge=False, pad_edge=False)
    for column in ("model", "file", "source", "size", "SHA-256", "licence", "here"):
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for component in COMPONENTS.values():
        for number, file in enumerate(component.files):
            first = number == 0
            table.add_row(
                component.name if first else "",
                file.name,
                file.source.removeprefix("https://"),
                size_text(file.bytes) if file.bytes else "",
                file.sha256[:12] if file.sha256 else "at first pull",
                component.licence if first else "",
                _state(component) if first else "",
            )
    console.print(table)
    console.print()
    for component in COMPONENTS.values():
        if component.note:
            console.print(f"{component.name}: {component.note}", highlight=False)
    console.print(f"Models are kept in {models_folder()}", highlight=False, soft_wrap=True)


@app.command()
def pull(
    name: Name,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Take the files from this folder; no network is asked."),
    ] = None,
) -> None:
    """Fetch, check and convert a preset's models; a pull that was interrupted goes on."""
    from zeropan.models.published import install

    if source is not None and not source.is_dir():
        raise BadConfig(f"{source} is not a folder; give one that holds the published files")
    components = _components(name)
    for component in components:
        if component.note:
            _say(f"{component.name}: {component.note}")
        install.pull(component, source=source, say=_say)


@app.command()
def verify(name: Name) -> None:
    """Hash every file of a preset's models and compare with what was published or pulled."""
    from zeropan.models.published import install

    for component in _components(name):
        install.verify(component)
        _say(f"{component.name}: every file is as it should be")


@app.command()
def where(name: Annotated[str | None, typer.Argument(metavar="[PRESET|MODEL]")] = None) -> None:
    """Print the folder of the models, or those of a preset's models."""
    if name is None:
        return _say(str(models_folder()))
    for component in _components(name, also_bundled=True):
        _say(str(folder_of(component)))


@app.command()
def rm(
    name: Name,
    originals: Annotated[
        bool,
        typer.Option("--originals", help="Only the pickled originals; the models stay usable."),
    ] = False,
) -> None:
    """Remove a preset's models from this machine."""
    from zeropan.models.published import install

    for component in _components(name):
        freed = install.remove(component, originals_only=originals)
        _say(f"{component.name}: {size_text(freed) if freed else 'nothing'} removed")


def _components(name: str, *, also_bundled: bool = False) -> list[Component]:
    """The models that a name on the command line means."""
    if name in COMPONENTS:
        return [COMPONENTS[name]]
    if name not in PRESETS and "+" not in name:
        raise BadConfig(
            f"{name!r} is neither a preset nor a model; `zeropan models list` names them all"
        )
    found = [
        component
        for component in parse_preset(name).components
        if also_bundled or component not in TINY
    ]
    if not found:
        raise BadConfig(f"preset {name!r} ships with zeropan; there is nothing to pull or remove")
    return found


def _state(component: Component) -> str:
    from zeropan.models.published import install

    state = install.state_of(component)
    return {"installed": "yes", "absent": "", "foreign": "something else"}[state]


def _as_json(component: Component) -> dict[str, Any]:
    from zeropan.models.published import install

    return {
        "name": component.name,
        "role": component.role,
        "title": component.title,
        "licence": component.licence,
        "note": component.note,
        "state": install.state_of(component),
        "folder": str(folder_of(component)),
        "files": [
            {
                "name": file.name,
                "repository": file.repository,
                "revision": file.revision if file.repository else None,
                "url": file.url,
                "bytes": file.bytes,
                "sha256": file.sha256,
            }
            for file in component.files
        ],
    }


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _dump(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
