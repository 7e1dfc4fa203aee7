"""Looking after a store: listing, checking and removing artifacts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from zeropan.errors import ArtifactDamaged, ArtifactMissing, BadInput
from zeropan.storage.files import ASIDE
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.lease import FOLDER as LEASES
from zeropan.storage.lease import LEASE_S
from zeropan.storage.marker import Marker, marker_name
from zeropan.storage.store import ArtifactStore, key_of

GRACE_S = 3600.0
"""An attempt in progress looks like one that was left behind; younger ones are kept."""


@dataclass(frozen=True)
class StoredArtifact:
    """One artifact, as its marker describes it."""

    key: ArtifactKey
    record: str
    bytes: int
    files: int
    created: str
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Check:
    """What was found of one artifact, or of files that belong to none."""

    name: str
    """The key, or the folder of an attempt without a marker."""
    status: Literal["ok", "damaged", "orphan"]
    reason: str = ""


@dataclass
class PruneReport:
    """What was removed, or would be."""

    removed: list[Check] = field(default_factory=list)
    expired: list[ArtifactKey] = field(default_factory=list)
    """Whole artifacts: those too old, then those that did not fit."""
    freed_bytes: int = 0


def entries(store: ArtifactStore) -> Iterator[StoredArtifact]:
    """Every artifact whose marker can be read, by stage and digest."""
    for key, _ in sorted(store.markers()):
        try:
            marker = store.marker(key)
        except (ArtifactMissing, ArtifactDamaged):
            continue
        yield StoredArtifact(
            key=key,
            record=marker.record,
            bytes=sum(size for _, size in marker.files.values()),
            files=len(marker.files),
            created=marker.created,
            provenance=marker.provenance,
        )


def usage(artifacts: Iterable[StoredArtifact]) -> dict[tuple[str, str], int]:
    """Bytes by image and stage.

    Args:
        artifacts: such as `entries` yields.

    Returns:
        Bytes under (SHA-256 of the image, stage); the image is "" where an artifact names none.
    """
    found: Counter[tuple[str, str]] = Counter()
    for artifact in artifacts:
        image = str(artifact.provenance.get("image_sha256", ""))
        found[image, artifact.key.stage] += artifact.bytes
    return dict(found)


def bytes_by_stage(store: ArtifactStore) -> dict[str, int]:
    """Bytes of all artifacts of each stage that has any."""
    found: Counter[str] = Counter()
    for artifact in entries(store):
        found[artifact.key.stage] += artifact.bytes
    return dict(found)


def resolve(store: ArtifactStore, prefix: str) -> ArtifactKey:
    """The one key that starts so: "things/ab12", "things" or "ab12".

    Raises:
        ArtifactMissing: no key starts so.
        BadInput: several do.
    """
    found = sorted(
        key
        for key, _ in store.markers()
        if f"{key}/".startswith(prefix if "/" in prefix else f"{prefix}/")
        or key.digest.startswith(prefix)
    )
    if not found:
        raise ArtifactMissing(
            f"no artifact's key starts with {prefix!r}; zeropan store ls lists the keys"
        )
    if len(found) > 1:
        raise BadInput(f"{prefix!r} fits {len(found)} artifacts; give more digits of the key")
    return found[0]


def verify(store: ArtifactStore) -> Iterator[Check]:
    """Read every byte of every artifact, and find attempts that no marker names."""
    used = set()
    for key, _ in sorted(store.markers()):
        try:
            marker = store.marker(key)
            used.add(marker.folder)
            store.load(marker)
        except ArtifactMissing:
            continue  # Pruned by another process since the listing.
        except ArtifactDamaged as error:
            yield Check(str(key), "damaged", str(error))
        else:
            yield Check(str(key), "ok")
    for folder in sorted(_attempts(store)):
        if folder not in used:
            yield Check(folder, "orphan", "no marker names it: a write that did not end")


def prune(
    store: ArtifactStore,
    *,
    grace_s: float = GRACE_S,
    older_than_s: float | None = None,
    stages: Collection[str] | None = None,
    max_bytes: int | None = None,
    first: Sequence[str] = (),
    keep: Collection[ArtifactKey] = (),
    dry_run: bool = False,
) -> PruneReport:
    """Remove damaged artifacts, attempts left behind, and artifacts that are too old or too many.

    A marker is removed before its files, so that no reader meets half an artifact.

    Args:
        store: the store.
        grace_s: attempts that changed in the last so many seconds are kept.
        older_than_s: artifacts made longer ago are removed too; None removes none for its age.
        stages: with older_than_s, only artifacts of these stages.
        max_bytes: then the oldest artifacts go until those that are left have no more bytes; None
            removes none for its size.
        first: with max_bytes, stages of which all artifacts go before any of another stage.
        keep: whole artifacts that stay, whatever their age and size.
        dry_run: only report.
    """
    report = PruneReport()
    now = time.time()
    attempts = _attempts(store)
    kept: list[tuple[Marker, int]] = []

    def remove(name: str, folder: str) -> None:
        report.freed_bytes += attempts.pop(folder, (0, 0.0))[0]
        if not dry_run:
            store.files.delete(name)
            # Only the attempt that the marker names: another may be in progress beside it.
            if folder:
                store.files.delete(folder)

    for key, name in sorted(store.markers()):
        folder = ""
        try:
            marker = store.marker(key)
            folder = marker.folder
            store.load(marker)
        except ArtifactMissing:
            continue  # Pruned by another process since the listing.
        except ArtifactDamaged as error:
            report.removed.append(Check(str(key), "damaged", str(error)))
        else:
            if key in keep or not _expired(marker, older_than_s, stages, now):
                kept.append((marker, sum(size for _, size in marker.files.values())))
                continue
            report.expired.append(key)
        remove(name, folder)
    for marker in _beyond(kept, max_bytes, first, keep):
        report.expired.append(marker.key)
        remove(marker_name(marker.key), marker.folder)
    for marker, _ in kept:
        attempts.pop(marker.folder, None)
    for folder, (size, changed) in sorted(attempts.items()):
        if now - changed < grace_s:
            continue
        report.removed.append(Check(folder, "orphan"))
        report.freed_bytes += size
        if not dry_run:
            store.files.delete(folder)
    if not dry_run:
        for name, _, changed in list(store.files.walk(LEASES)):
            if now - changed > max(grace_s, LEASE_S):
                store.files.delete(name)
    return report


def _beyond(
    kept: Sequence[tuple[Marker, int]],
    max_bytes: int | None,
    first: Sequence[str],
    keep: Collection[ArtifactKey],
) -> Iterator[Marker]:
    """The artifacts that have to go, so that those left have no more than so many bytes."""
    if max_bytes is None:
        return
    total = sum(size for _, size in kept)
    in_turn = sorted(kept, key=lambda one: (one[0].key.stage not in first, one[0].created))
    for marker, size in in_turn:
        if total <= max_bytes:
            return
        if marker.key not in keep:
            total -= size
            yield marker


def _expired(
    marker: Marker, older_than_s: float | None, stages: Collection[str] | None, now: float
) -> bool:
    if older_than_s is None or (stages is not None and marker.key.stage not in stages):
        return False
    return now - datetime.fromisoformat(marker.created).timestamp() > older_than_s


def _attempts(store: ArtifactStore) -> dict[str, tuple[int, float]]:
    """Every attempt's folder, and every marker left aside: bytes, and when it last changed."""
    found: dict[str, tuple[int, float]] = {}
    for name, size, changed in store.files.walk():
        parts = name.split("/")
        aside = len(parts) == 2 and parts[1].startswith(ASIDE)
        if not aside and (len(parts) < 4 or key_of(f"{parts[0]}/{parts[1]}.json") is None):
            continue
        folder = "/".join(parts[:3])
        bytes_so_far, latest = found.get(folder, (0, 0.0))
        found[folder] = (bytes_so_far + size, max(latest, changed))
    return found
