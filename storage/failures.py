"""What is remembered of images that could not be segmented, so that they can be taken up again.

One small JSON file a location and request, beside the artifacts, so that every machine that shares
the store sees it. It is a hint for people and for a retry; whether a result exists is the
artifacts' to say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from zeropan.storage.files import open_files

FOLDER = ".failures"


@dataclass(frozen=True)
class Failure:
    """One image that failed."""

    location: str
    reason: str
    """One sentence."""
    kind: str
    """The error's class, such as BadImage."""
    failed: str
    """UTC, ISO 8601."""


class FailureList:
    """The failures of one request (words, parameters and models) in one store.

    Args:
        url: the store's local path or fsspec URL.
        request: 32 hex digits that stand for the request.
    """

    def __init__(self, url: str, request: str) -> None:
        self._files = open_files(url)
        self._folder = f"{FOLDER}/{request}"

    def add(self, location: str, reason: str, kind: str) -> Failure:
        """Remember that an image failed; an older reason is replaced."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        failure = Failure(location=location, reason=reason, kind=kind, failed=now)
        data = json.dumps(asdict(failure), ensure_ascii=False).encode()
        self._files.publish(self._name(location), data, replace=True, durable=False)
        return failure

    def drop(self, locations: Iterable[str]) -> None:
        """Forget the failures of these locations, where there are any: they have results now."""
        known = set(self._names())
        for location in locations:
            if self._name(location) in known:
                self._files.delete(self._name(location))

    def __iter__(self) -> Iterator[Failure]:
        for name in self._names():
            try:
                yield Failure(**json.loads(self._files.read(name)))
            except (FileNotFoundError, ValueError, TypeError):
                continue  # Taken up by another process, or torn: the next run tries it anyway.

    def _names(self) -> Iterator[str]:
        for name, _, _ in self._files.walk(self._folder):
            if name.endswith(".json"):
                yield name

    def _name(self, location: str) -> str:
        return f"{self._folder}/{hashlib.sha256(location.encode()).hexdigest()[:32]}.json"
