"""Keys: digests of canonical JSON, the same on every machine and in every process."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from zeropan.errors import StoreError

DIGEST_LENGTH = 32
"""Hex digits of a key's digest: 128 bits, far beyond any accidental collision."""

_STAGE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, order=True)
class ArtifactKey:
    """The name of an artifact: its stage, and the digest of all that shapes it."""

    stage: str
    digest: str
    """32 hex digits."""

    def __post_init__(self) -> None:
        # A stage and a digest become a path, so nothing else may be in them.
        if not _STAGE.fullmatch(self.stage) or not _DIGEST.fullmatch(self.digest):
            raise StoreError(
                f"{self.stage!r}/{self.digest!r} is not an artifact key; "
                "a key is a stage's name and 32 hex digits"
            )

    def __str__(self) -> str:
        return f"{self.stage}/{self.digest}"


def artifact_key(stage: str, *, version: int, inputs: Mapping[str, object]) -> ArtifactKey:
    """The key of what a stage makes of these inputs.

    Args:
        stage: the stage's name.
        version: the version of the stage's algorithm.
        inputs: JSON values; tuples count as lists, -0.0 as 0.0.

    Raises:
        StoreError: a value is not JSON, or not finite.
    """
    text = canonical_json({"stage": stage, "version": version, "inputs": inputs})
    return ArtifactKey(stage, hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH])


def canonical_json(value: object) -> str:
    """One text for one value: sorted keys, no white space, no escapes beyond JSON's own.

    Raises:
        StoreError: a value is not JSON, or not finite.
    """
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _plain(value: object) -> object:
    match value:
        case None | bool() | int():
            return value
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise StoreError(f"{value!r} is not valid Unicode text; give text") from error
            return value
        case float():
            if not math.isfinite(value):
                raise StoreError(f"{value} cannot be part of a key; give a finite number")
            return value + 0.0
        case list() | tuple():
            return [_plain(item) for item in value]
        case Mapping():
            if not all(isinstance(key, str) for key in value):
                raise StoreError("a key's inputs have a name that is not text; use text")
            return {key: _plain(item) for key, item in value.items()}
        case _:
            raise StoreError(f"{type(value).__name__} cannot be part of a key; give JSON values")
