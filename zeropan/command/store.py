"""zeropan store: look at the artifacts, check them, remove them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from zeropan.command.execution import FOUND_FAULTS, show_home
from zeropan.command.options import Home, Json, Store
from zeropan.errors import BadConfig
from zeropan.request.places import Places
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import GRACE_S, Check, entries, prune, resolve, usage, verify
from zeropan.tasks.work import PERCEPTION, STAGES

app = typer.Typer(help="Look at the artifact store.", no_args_is_help=True)


def _open(home: str | None, url: str | None, *, quiet: bool) -> ArtifactStore:
    places = Places.resolve(home=home, store=url)
    if not quiet:
        show_home(places.home)
    return ArtifactStore(places.store_url)


def _dump(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


@app.command("ls")
def list_artifacts(home: Home = None, store: Store = None, as_json: Json = False) -> None:
    """List the artifacts: one line each."""
    found = list(entries(_open(home, store, quiet=as_json)))
    if as_json:
        return _dump(
            [
                {
                    "key": str(a.key),
                    "bytes": a.bytes,
                    "files": a.files,
                    "created": a.created,
                    "image_sha256": a.provenance.get("image_sha256"),
                }
                for a in found
            ]
        )
    table = Table(show_edge=False, pad_edge=False)
    for column in ("key", "KiB", "created", "seconds", "result"):
        table.add_column(column, overflow="fold", justify="right" if column == "KiB" else "left")
    for artifact in found:
        result = artifact.provenance.get("result") or {}
        table.add_row(
            f"{artifact.key.stage}/{artifact.key.digest[:12]}",
            f"{artifact.bytes / 1024:,.1f}",
            artifact.created[:16].replace("T", " "),
            f"{artifact.provenance.get('seconds', 0):.2f}",
            ", ".join(f"{value:g} {name}" for name, value in result.items()),
        )
    Console().print(table)
    used = usage(found)
    images = {image for image, _ in used}
    by_stage = Counter[str]()
    for (_, stage), size in used.items():
        by_stage[stage] += size
    for stage in STAGES:
        if stage in by_stage:
            each = by_stage[stage] / len(images) / 1024
            Console().print(f"{stage}: {each:,.1f} KiB an image", highlight=False)
    Console().print(
        f"{len(found)} artifacts of {len(images)} images, {by_stage.total() / 2**20:,.1f} MiB",
        highlight=False,
    )


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="A key, or its first digits: things/ab12.")],
    home: Home = None,
    store: Store = None,
) -> None:
    """Show where one artifact is and what it comes from, as JSON."""
    opened = _open(home, store, quiet=True)
    found = resolve(opened, key)
    marker = opened.marker(found)
    _dump(
        {
            "key": str(found),
            "record": marker.record,
            "created": marker.created,
            "zarr_group": opened.path_of(found),
            "bytes": sum(size for _, size in marker.files.values()),
            "files": {name: size for name, (_, size) in marker.files.items()},
            "provenance": marker.provenance,
        }
    )


@app.command("verify")
def verify_artifacts(home: Home = None, store: Store = None, as_json: Json = False) -> None:
    """Read every byte of every artifact; exit code 3 if one is damaged."""
    checks = list(track(verify(_open(home, store, quiet=as_json))))
    if as_json:
        _dump([{"name": c.name, "status": c.status, "reason": c.reason} for c in checks])
    else:
        for check in checks:
            if check.status != "ok":
                Console().print(f"{check.status}  {check.name}: {check.reason}", soft_wrap=True)
        Console().print(_counts(checks), highlight=False)
    if any(check.status == "damaged" for check in checks):
        raise typer.Exit(FOUND_FAULTS)


@app.command("prune")
def prune_artifacts(
    home: Home = None,
    store: Store = None,
    grace: Annotated[
        float, typer.Option(min=0, help="Attempts younger than this stay; seconds.")
    ] = GRACE_S,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Also remove artifacts older than this; days.")
    ] = None,
    stage: Annotated[
        list[str] | None, typer.Option(help="With --older-than: only of this stage.")
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Then remove the oldest artifacts until the rest has no more bytes; those of the "
            "models first, and none of a run that was named or compared.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove damaged artifacts, what interrupted writes left behind, and what is too old."""
    unknown = set(stage or []) - set(STAGES)
    if unknown:
        raise BadConfig(
            f"stage {sorted(unknown)[0]!r} is not known; use one of {', '.join(STAGES)}"
        )
    keep: set[ArtifactKey] = set()
    if max_bytes is not None:
        from zeropan.flows.prune_store import needed

        keep = needed(Places.resolve(home=home, store=store))
    report = prune(
        _open(home, store, quiet=as_json),
        grace_s=grace,
        older_than_s=None if older_than is None else older_than * 86400,
        stages=stage,
        max_bytes=max_bytes,
        first=PERCEPTION,
        keep=keep,
        dry_run=dry_run,
    )
    if as_json:
        return _dump(
            {
                "removed": [check.name for check in report.removed],
                "expired": [str(key) for key in report.expired],
                "freed_bytes": report.freed_bytes,
                "dry_run": dry_run,
            }
        )
    word = "would be removed" if dry_run else "removed"
    Console().print(
        f"{_counts(report.removed)}, {len(report.expired)} expired: {word}, "
        f"{report.freed_bytes / 2**20:,.1f} MiB",
        highlight=False,
    )


@app.command("layout")
def layout_of_artifacts(
    new: Annotated[str | None, typer.Argument(help="folder or zip; without, say which.")] = None,
    home: Home = None,
    store: Store = None,
) -> None:
    """Say or set whether new artifacts are a folder of files each, or one ZIP file each."""
    opened = _open(home, store, quiet=True)
    if new is not None:
        opened.set_layout(new)
    Console().print(opened.layout)


def _counts(checks: list[Check]) -> str:
    counts = Counter(check.status for check in checks)
    return ", ".join(f"{counts[status]} {status}" for status in ("ok", "damaged", "orphan"))


def track(checks: Iterator[Check]) -> Iterator[Check]:
    """Pass checks on, with a count on the terminal while they come."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from checks
        return
    with console.status("checking") as status:
        for number, check in enumerate(checks, start=1):
            status.update(f"checking: {number}")
            yield check
