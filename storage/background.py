"""Coroutines awaited by code that is none, whether or not its own thread has an event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, from this process's one event loop in a thread of its own.

    A notebook's or a server's thread runs a loop already, so `asyncio.run` is refused there; and
    a new loop with new threads each time costs more than what is awaited.

    Raises:
        Exception: what the coroutine raises.
    """
    return asyncio.run_coroutine_threadsafe(coroutine, _loop(os.getpid())).result()


@cache
def _loop(process: int) -> asyncio.AbstractEventLoop:
    """A running loop. A forked process has no threads but its own, so it gets another.

    Two first callers at once may each get one; either loop serves.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=f"zarr of {process}", daemon=True).start()
    return loop
