"""A flow run that kills its own process in one stage; started by test_kill.py.

Usage: python -m tests.faults.killed_run STAGE MOMENT IMAGE HOME
MOMENT is "computing" (in the stage's body, before anything is written) or "publishing" (all its
chunks are written, its commit marker is not).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from tests.commands import STUFF, THINGS, segment
from zeropan.storage.store import ArtifactStore


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    stage, moment, image, home = sys.argv[1:]
    write = ArtifactStore.write

    def write_or_die(self: ArtifactStore, key: Any, record: Any, **given: Any) -> Any:
        if key.stage == stage:
            if moment == "computing":
                die()
            os.link = die
        return write(self, key, record, **given)

    ArtifactStore.write = write_or_die  # type: ignore[method-assign]
    segment(images=[image], words={"things": THINGS, "stuff": STUFF}, home=home)


if __name__ == "__main__":
    main()
