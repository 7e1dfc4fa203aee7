"""A lease on a key: of several processes that want the same artifact, one computes it.

A lease only saves work. Results are right without it, because the first marker wins whoever wrote
it; so where a place offers no way to create a file only if it is absent, or the lease file cannot
be written at all, the work is done without one, at worst twice.

The holder rewrites its file while it works. A waiter takes the lease over once the file has not
changed for `LEASE_S` seconds of the waiter's own monotonic clock, so neither a holder that was
killed nor a clock that jumps makes anybody wait for ever.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from zeropan.errors import ZeropanError
from zeropan.storage.files import Files
from zeropan.storage.keys import ArtifactKey

logger = logging.getLogger(__name__)

FOLDER = ".leases"
LEASE_S = 20.0
"""A holder that has not renewed its lease for this long is taken for dead."""
POLL_S = 0.1


@contextlib.contextmanager
def lease(
    files: Files,
    key: ArtifactKey,
    *,
    done: Callable[[], bool],
    lease_s: float = LEASE_S,
) -> Iterator[bool]:
    """Hold the lease of a key while the block runs; wait for another holder to finish first.

    Args:
        files: the store's files.
        key: what is about to be computed.
        done: whether the artifact has come to be; asked while another process holds the lease.
        lease_s: seconds without a sign of life after which a holder is taken for dead.

    Yields:
        False where another holder finished the work, so that none is left to do.
    """
    name = f"{FOLDER}/{key.stage}-{key.digest}.json"
    mine = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
    try:
        held = _acquire(files, name, mine, done, lease_s)
    except (OSError, ZeropanError) as error:
        logger.debug("no lease for %s: %s", key, error)
        yield True
        return
    if held and _is_done(done):
        # The holder before us finished between our last look and its release.
        _release(files, name, mine)
        held = False
    if not held:
        yield False
        return
    stop = threading.Event()
    renewal = threading.Thread(
        target=_renew, args=(files, name, mine, stop, lease_s / 4), daemon=True
    )
    renewal.start()
    try:
        yield True
    finally:
        stop.set()
        renewal.join()
        _release(files, name, mine)


def _acquire(files: Files, name: str, mine: str, done: Callable[[], bool], lease_s: float) -> bool:
    """True once the lease is ours; False once the work is done."""
    seen, since = b"", time.monotonic()
    while True:
        if files.publish(name, _content(mine, 0), replace=False, durable=False):
            return True
        if done():
            return False
        try:
            now = files.read(name)
        except FileNotFoundError:
            continue
        if now != seen:
            seen, since = now, time.monotonic()
        elif _has_died(now) or time.monotonic() - since > lease_s:
            logger.warning("the holder of %s gives no sign of life; its work is taken over", name)
            files.publish(name, _content(mine, 0), replace=True, durable=False)
            # Of several that take over at once the last one's file stays.
            time.sleep(POLL_S)
            if _is_mine(files, name, mine):
                return True
        time.sleep(POLL_S)


def _is_done(done: Callable[[], bool]) -> bool:
    try:
        return done()
    except (OSError, ZeropanError):
        return False


def _renew(files: Files, name: str, mine: str, stop: threading.Event, every_s: float) -> None:
    beat = 0
    while not stop.wait(every_s):
        beat += 1
        with contextlib.suppress(OSError, ZeropanError):
            if _is_mine(files, name, mine):
                files.publish(name, _content(mine, beat), replace=True, durable=False)


def _release(files: Files, name: str, mine: str) -> None:
    # What cannot be removed now is taken over after its time, or pruned.
    with contextlib.suppress(OSError, ZeropanError):
        if _is_mine(files, name, mine):
            files.delete(name)


def _has_died(content: bytes) -> bool:
    """Whether the holder is a process of this machine that is no more; False if in doubt."""
    try:
        host, pid, _ = json.loads(content)["holder"].split(" ")
        if host != socket.gethostname():
            return False
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (ValueError, KeyError, TypeError, AttributeError, PermissionError):
        return False
    return False


def _is_mine(files: Files, name: str, mine: str) -> bool:
    try:
        return bool(json.loads(files.read(name))["holder"] == mine)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def _content(holder: str, beat: int) -> bytes:
    return json.dumps({"holder": holder, "beat": beat}).encode()
