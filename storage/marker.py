"""The commit marker: the one file that makes an artifact exist."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from zeropan.errors import ArtifactDamaged
from zeropan.storage.keys import ArtifactKey, canonical_json


@dataclass(frozen=True)
class ArtifactRef:
    """A reference to stored bytes: a key, and the digest of the manifest found under it."""

    stage: str
    digest: str
    manifest_sha256: str

    @property
    def key(self) -> ArtifactKey:
        """The key alone."""
        return ArtifactKey(self.stage, self.digest)


@dataclass(frozen=True)
class Marker:
    """What a commit marker says."""

    key: ArtifactKey
    attempt: str
    """Name of the folder that holds the files; each try to write has its own."""
    files: dict[str, tuple[str, int]]
    """Manifest: name → SHA-256 in hex, bytes."""
    record: str
    created: str
    """UTC, ISO 8601."""
    provenance: dict[str, Any]

    @property
    def manifest_sha256(self) -> str:
        """Digest of the manifest, so of every byte of the artifact."""
        return hashlib.sha256(canonical_json(self.files).encode()).hexdigest()

    @property
    def ref(self) -> ArtifactRef:
        """The reference that this marker stands for."""
        return ArtifactRef(self.key.stage, self.key.digest, self.manifest_sha256)

    @property
    def folder(self) -> str:
        """Where the files are, relative to the store."""
        return f"{self.key.stage}/{self.key.digest}/{self.attempt}"

    def encode(self) -> bytes:
        """The marker file's bytes; they end with their own digest, so a torn file shows."""
        body = {
            "stage": self.key.stage,
            "digest": self.key.digest,
            "attempt": self.attempt,
            "record": self.record,
            "created": self.created,
            "files": self.files,
            "provenance": self.provenance,
        }
        text = canonical_json(body)
        seal = hashlib.sha256(text.encode()).hexdigest()
        return json.dumps({"marker": body, "sha256": seal}, ensure_ascii=False).encode()

    @classmethod
    def decode(cls, data: bytes, key: ArtifactKey) -> Marker:
        """Read a marker file.

        Raises:
            ArtifactDamaged: it is torn, changed, or another artifact's.
        """
        try:
            content = json.loads(data)
            body = content["marker"]
            seal = hashlib.sha256(canonical_json(body).encode()).hexdigest()
            if seal != content["sha256"] or (body["stage"], body["digest"]) != (
                key.stage,
                key.digest,
            ):
                raise ValueError("its digest does not fit")
            return cls(
                key=key,
                attempt=_plain_name(body["attempt"]),
                files={_inside(n): (str(f[0]), int(f[1])) for n, f in body["files"].items()},
                record=str(body["record"]),
                created=str(body["created"]),
                provenance=dict(body["provenance"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ArtifactDamaged(
                f"the marker of artifact {key} is damaged ({error}); it is computed again when "
                "it is needed"
            ) from error


def marker_name(key: ArtifactKey) -> str:
    """The marker's place, relative to the store."""
    return f"{key.stage}/{key.digest}.json"


def _plain_name(name: str) -> str:
    if not name.isalnum():
        raise ValueError(f"{name!r} is no attempt")
    return name


def _inside(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\\" in name:
        raise ValueError(f"{name!r} leads out of the artifact")
    return name
