"""Progress of a flow, for whoever shows it.

A flow cannot take a callback as a parameter (parameters travel as JSON), so a listener is set for
the current context. With none set, nothing is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Listener(Protocol):
    """Is told what a flow is doing."""

    def __call__(self, done: int, total: int, doing: str) -> None:
        """Called before each stage, and after the last."""
        ...


_listener: ContextVar[Listener | None] = ContextVar("zeropan_progress", default=None)


def report(done: int, total: int, doing: str) -> None:
    """Tell the listener of this context, if there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(done, total, doing)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g}/s")


@contextmanager
def progress_bar(console: Console) -> Iterator[None]:
    """Show a bar while the block runs; nothing where the console is no terminal."""
    if not console.is_terminal:
        yield
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console,
        transient=True,
    )
    with bar:
        line = bar.add_task("starting", total=None)

        def listen(done: int, total: int, doing: str) -> None:
            bar.update(line, completed=done, total=total, description=doing)

        token = _listener.set(listen)
        try:
            yield
        finally:
            _listener.reset(token)
