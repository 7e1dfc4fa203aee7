"""The zeropan command. Each subcommand is in a file of its own name."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from zeropan import __version__
from zeropan.command.compare import compare
from zeropan.command.demo import demo
from zeropan.command.evaluate import evaluate
from zeropan.command.models import app as models
from zeropan.command.rerun import rerun
from zeropan.command.run import run
from zeropan.command.scenes import app as scenes
from zeropan.command.store import app as store
from zeropan.command.sweep import sweep
from zeropan.command.track import app as track
from zeropan.command.ui import ui
from zeropan.errors import BadInput, TooManyFailures, WeightsError, ZeropanError

app = typer.Typer(
    name="zeropan",
    help="Zero-shot panoptic segmentation as a pipeline you can re-run stage by stage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(run)
app.command()(rerun)
app.command()(sweep)
app.command()(demo)
app.command("eval")(evaluate)
app.command()(compare)
app.command()(ui)
app.add_typer(store, name="store")
app.add_typer(models, name="models")
app.add_typer(track, name="track")
app.add_typer(scenes, name="scenes")


@app.callback(invoke_without_command=True)
def _global(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        sys.stdout.write(f"zeropan {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        raise typer.Exit


def main() -> None:
    """Run the command and end the process.

    Exit codes: 0 all well; 1 our fault; 2 refused before the work; 3 the work ended, but something
    failed or was found; 130 interrupted, with what was done kept.
    """
    try:
        app()
    except (BadInput, WeightsError) as error:
        _end(2, str(error))
    except TooManyFailures as error:
        _end(3, str(error))
    except ZeropanError as error:
        _end(1, str(error))
    except KeyboardInterrupt:
        _end(130, "interrupted; what was done is kept, and the same command goes on from there")


def _end(code: int, sentence: str) -> NoReturn:
    sys.stderr.write(f"zeropan: {sentence}\n")
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
