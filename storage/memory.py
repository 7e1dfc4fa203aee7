"""A store in memory: records under keys for as long as the object lives, and nothing written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, TypeVar

from zeropan.errors import ArtifactMissing
from zeropan.segmentation.records import Record
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.marker import ArtifactRef, Marker

R = TypeVar("R", bound=Record)


class MemoryStore:
    """Records under keys, as an `ArtifactStore` has them, but as they are and without files.

    A record is frozen, so it is kept and given back without a copy. Threads may share a store.
    """

    url = "memory"

    def __init__(self) -> None:
        self._kept: dict[ArtifactKey, tuple[Marker, Record]] = {}

    def __contains__(self, key: ArtifactKey) -> bool:
        return key in self._kept

    def find(self, key: ArtifactKey) -> Marker | None:
        """The marker of a key's record, if there is one."""
        found = self._kept.get(key)
        return None if found is None else found[0]

    def is_marked(self, key: ArtifactKey) -> bool:
        """Whether there is a record under a key."""
        return key in self._kept

    def lease(
        self, key: ArtifactKey, *, done: Callable[[], bool] | None = None
    ) -> AbstractContextManager[bool]:
        """Nobody else has this memory: always True."""
        return nullcontext(True)

    def read(self, key: ArtifactKey, kind: type[R]) -> R:
        """The record under a key.

        Raises:
            ArtifactMissing: there is none of this kind.
        """
        found = self._kept.get(key)
        if found is None or not isinstance(found[1], kind):
            raise ArtifactMissing(f"no {kind.__name__} is kept under {key}; compute it first")
        return found[1]

    def write(
        self,
        key: ArtifactKey,
        record: Record,
        *,
        provenance: Mapping[str, Any],
        replace: bool = False,
    ) -> ArtifactRef:
        """Keep a record under a key; one that is there stays, unless `replace`."""
        if replace or key not in self._kept:
            marker = Marker(
                key=key,
                attempt="memory",
                files={},
                record=type(record).__name__,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                provenance=dict(provenance),
            )
            self._kept[key] = marker, record
        return self._kept[key][0].ref

    def copy(self) -> MemoryStore:
        """Another store with the same records, which are not copied."""
        other = MemoryStore()
        other._kept.update(self._kept)
        return other
