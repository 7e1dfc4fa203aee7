"""zeropan store: look at the artifacts, check them, remove them."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from storage.store import ArtifactStore

from flows.settings import Places

app = typer.Typer(help="Look at the artifact store.", no_args_is_help=True)

Home = Annotated[
    str | None, typer.Option(help="Folder of everything that is kept [default: ./zeropan-data].")
]
Url = Annotated[str | None, typer.Option("--store", help="Folder or URL of the artifacts.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def _open(home: str | None, url: str | None) -> ArtifactStore:
    return ArtifactStore(Places.resolve(home=home, store=url).store_url)


def _dump(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
