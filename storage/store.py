"""The artifact store: records under keys, written once, verified on every read.

    <stage>/<digest>/<attempt>/...   a Zarr v3 group, complete or not
    <stage>/<digest>.json            the commit marker: names the attempt and digests of its files

A marker is written last, so an artifact exists if and only if its marker does. Two writers of one
key each write an attempt of their own; the first marker wins and the other attempt is removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from zeropan.choices import Layout
from zeropan.errors import ArtifactDamaged, ArtifactMissing, StoreError, TransientError
from zeropan.segmentation.records import Record
from zeropan.storage.codec import from_files, to_files
from zeropan.storage.files import open_files
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.layout import GROUP, layout_of, pack, set_layout, unpack
from zeropan.storage.lease import lease
from zeropan.storage.marker import ArtifactRef, Marker, marker_name

__all__ = ["ArtifactRef", "ArtifactStore"]

R = TypeVar("R", bound=Record)

_TRANSIENT = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.EINTR,
        errno.ENOENT,
    }
)
"""Faults of a network file system or a busy disk that another try may mend. ENOENT: a folder that
another process emptied and removed while we were about to write into it."""


class ArtifactStore:
    """Records under keys, on a local folder or any fsspec URL.

    Args:
        url: a local path, or an fsspec URL such as s3://bucket/prefix. Credentials belong into
            the environment, never into the URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.files = open_files(url)

    @cached_property
    def layout(self) -> Layout:
        """How the files of new artifacts lie in the store."""
        with self._reporting("say its layout"):
            return layout_of(self.files)

    def set_layout(self, layout: str) -> None:
        """Choose how the files of new artifacts lie in the store; what is stored stays as it is.

        Raises:
            BadConfig: there is no such layout.
            StoreError: the place cannot be written to.
        """
        with self._reporting("change its layout"):
            set_layout(self.files, layout)
        self.__dict__.pop("layout", None)

    def find(self, key: ArtifactKey) -> Marker | None:
        """The marker of a key's artifact, if it is stored, every byte of it as it was written."""
        try:
            marker = self.marker(key)
            self.load(marker)
        except (ArtifactMissing, ArtifactDamaged):
            return None
        return marker

    def is_marked(self, key: ArtifactKey) -> bool:
        """Whether a key has a marker at all, be it whole or torn."""
        with self._reporting(f"look up {key}"):
            return self.files.size(marker_name(key)) is not None

    def is_whole(self, ref: ArtifactRef) -> bool:
        """Whether this very artifact is stored, every byte of it as it was written."""
        found = self.find(ref.key)
        return found is not None and found.ref == ref

    def write(
        self,
        key: ArtifactKey,
        record: Record,
        *,
        provenance: Mapping[str, Any],
        replace: bool = False,
    ) -> ArtifactRef:
        """Store a record under a key.

        If the key holds a whole artifact already, that one stays and its reference is returned.

        Args:
            key: what the record is the result of.
            record: the result.
            provenance: where it comes from, as plain JSON values.
            replace: let the new artifact take the place of a whole one, in one step; the old
                files stay for those who are reading them, until the store is pruned.

        Raises:
            StoreError: the place cannot be written to, such as a full disk.
            TransientError: it cannot be written to just now.
        """
        contents = to_files(record, provenance)
        if self.layout == "zip":
            contents = pack(contents)
        marker = Marker(
            key=key,
            attempt=uuid.uuid4().hex,
            files={n: (hashlib.sha256(d).hexdigest(), len(d)) for n, d in contents.items()},
            record=type(record).__name__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            provenance=dict(provenance),
        )
        try:
            with self._reporting(f"write {key}"):
                self.files.write_all(marker.folder, contents)
                winner = self._publish(marker, replace=replace)
        except BaseException:
            self._abandon(marker)
            raise
        if winner.attempt != marker.attempt:
            self._abandon(marker)
        return winner.ref

    def lease(
        self, key: ArtifactKey, *, done: Callable[[], bool] | None = None
    ) -> AbstractContextManager[bool]:
        """Be the one process that computes a key; False where another one has just done it.

        Args:
            key: what is about to be computed.
            done: whether it is stored by now; by default whether an artifact is, under this key.
        """
        return lease(self.files, key, done=done or (lambda: self.find(key) is not None))

    def read(self, key: ArtifactKey | ArtifactRef, kind: type[R]) -> R:
        """Read a record, after checking every byte of it.

        Raises:
            ArtifactMissing: no whole artifact is stored under the key.
            ArtifactDamaged: one is, but its bytes are not those that were written.
        """
        marker = self._marker_of(key)
        return from_files(unpack(self.load(marker)), kind)

    def provenance(self, key: ArtifactKey | ArtifactRef) -> dict[str, Any]:
        """Where an artifact comes from: parameters, models, upstream keys, seconds."""
        return dict(self._marker_of(key).provenance)

    def path_of(self, key: ArtifactKey | ArtifactRef) -> str:
        """The path or URL of the Zarr group, for zarr.open_group; of its ZIP file if it has one."""
        marker = self._marker_of(key)
        zipped = f"/{GROUP}" if GROUP in marker.files else ""
        return f"{self.url.rstrip('/')}/{marker.folder}{zipped}"

    def marker(self, key: ArtifactKey) -> Marker:
        """The commit marker under a key.

        Raises:
            ArtifactMissing: there is none.
            ArtifactDamaged: it is torn.
        """
        try:
            with self._reporting(f"read {key}", absent=True):
                data = self.files.read(marker_name(key))
        except FileNotFoundError as error:
            raise ArtifactMissing(
                f"no artifact is stored under {key} in {self.url}; run the flow to compute it"
            ) from error
        return Marker.decode(data, key)

    def load(self, marker: Marker) -> dict[str, bytes]:
        """The bytes of an artifact's files, each checked against the manifest.

        Raises:
            ArtifactDamaged: a file is gone or changed.
        """
        with self._reporting(f"read {marker.key}"):
            found = self.files.read_all(marker.folder, list(marker.files))
        contents = {}
        for name, (sha256, _) in marker.files.items():
            if name not in found:
                raise self._damaged(marker, name, "is gone")
            if hashlib.sha256(found[name]).hexdigest() != sha256:
                raise self._damaged(marker, name, "has changed")
            contents[name] = found[name]
        return contents

    def markers(self) -> Iterator[tuple[ArtifactKey, str]]:
        """Every key that has a marker file, torn or not, and that file's name."""
        with self._reporting("list the store"):
            for name, _, _ in self.files.walk():
                key = key_of(name)
                if key is not None:
                    yield key, name

    def _marker_of(self, key: ArtifactKey | ArtifactRef) -> Marker:
        return self.marker(key.key if isinstance(key, ArtifactRef) else key)

    def _publish(self, marker: Marker, *, replace: bool) -> Marker:
        """Publish a marker; the one that stands under the key afterwards."""
        data = marker.encode()
        name = marker_name(marker.key)
        if replace:
            self.files.publish(name, data, replace=True)
        elif not self.files.publish(name, data, replace=False):
            earlier = self.find(marker.key)
            if earlier is not None:
                return earlier
            # The earlier winner is damaged; its marker gives way in one step.
            self.files.publish(name, data, replace=True)
        # Read again: not every file system can refuse the second of two markers.
        return self.marker(marker.key)

    def _abandon(self, marker: Marker) -> None:
        """Remove an attempt, unless its marker is published: then it is whole, and stays."""
        try:
            named = self.marker(marker.key).attempt
        except (ArtifactMissing, ArtifactDamaged):
            named = ""
        except (StoreError, TransientError):
            return  # The place does not answer; prune removes the attempt later.
        if named != marker.attempt:
            with contextlib.suppress(OSError):
                self.files.delete(marker.folder)

    def _damaged(self, marker: Marker, name: str, how: str) -> ArtifactDamaged:
        return ArtifactDamaged(
            f"file {name} of artifact {marker.key} in {self.url} {how}; the artifact is computed "
            "again when it is needed"
        )

    @contextlib.contextmanager
    def _reporting(self, doing: str, *, absent: bool = False) -> Iterator[None]:
        """Turn an OSError into one sentence; with `absent`, let FileNotFoundError pass."""
        try:
            yield
        except OSError as error:
            if absent and isinstance(error, FileNotFoundError):
                raise
            reason = error.strerror or str(error)
            kind = TransientError if error.errno in _TRANSIENT else StoreError
            raise kind(
                f"the store {self.url} cannot {doing}: {reason}; check the place and its free space"
            ) from error


def key_of(name: str) -> ArtifactKey | None:
    """The key whose marker has this name, or None."""
    stage, slash, rest = name.partition("/")
    digest, dot, kind = rest.partition(".")
    if not slash or "/" in rest or not dot or kind != "json":
        return None
    try:
        return ArtifactKey(stage, digest)
    except StoreError:
        return None
