"""Progress of a flow, for whoever shows it.

A flow cannot take a callback as a parameter (parameters travel as JSON), so a listener is set for
the current context. With none set, nothing is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


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


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell this listener while the block runs."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
