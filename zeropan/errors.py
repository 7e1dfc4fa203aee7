"""The exceptions of zeropan, all in one tree.

    ZeropanError
    ├── BadInput (ValueError)          what the user gave cannot be used; exit code 2
    │   ├── BadImage                   missing, truncated, not an image, too large
    │   ├── BadConfig                  unknown key, value out of range
    │   └── BadCategories              a word twice, an empty word
    ├── RecordError (ValueError)       a record's field has the wrong shape, dtype or range
    ├── WeightsError                   weights are absent or not what their digest says
    │   ├── WeightsMissing (FileNotFoundError)
    │   └── WeightsDamaged (ValueError)
    ├── StoreError                     the artifact store cannot do what was asked
    │   ├── ArtifactMissing (KeyError)
    │   └── ArtifactDamaged (ValueError)
    ├── TooManyFailures                more images of a data set failed than are allowed
    ├── OutOfMemory (MemoryError)      a single prompt does not fit
    └── TransientError                 a fault that another try may mend

Every message is one sentence: the input, what is wrong, what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ZeropanError(Exception):
    """Base of every error that zeropan raises on purpose."""

    def __str__(self) -> str:
        # KeyError would print the repr of its argument; a sentence must stay a sentence.
        return " ".join(str(argument) for argument in self.args)


class BadInput(ZeropanError, ValueError):
    """What the user gave cannot be used."""


class BadImage(BadInput):
    """An image file is missing, unreadable or too large."""


class BadConfig(BadInput):
    """A setting is unknown or out of its range."""


class BadCategories(BadInput):
    """The word lists contradict each other."""


class RecordError(ZeropanError, ValueError):
    """A record's field does not have the shape, dtype or range that it promises."""


class WeightsError(ZeropanError):
    """A model's weights cannot be loaded."""


class WeightsMissing(WeightsError, FileNotFoundError):
    """A weight file is not there."""


class WeightsDamaged(WeightsError, ValueError):
    """A weight file is not what its digest or its keys say."""


class StoreError(ZeropanError):
    """The artifact store cannot do what was asked."""


class ArtifactMissing(StoreError, KeyError):
    """No whole artifact is stored under a key."""


class ArtifactDamaged(StoreError, ValueError):
    """An artifact is stored, but its bytes are not those its manifest names."""


class TooManyFailures(ZeropanError):
    """More images could not be segmented than are allowed; what was done is kept.

    Args:
        message: one sentence.
        report: the run's report as plain values.
    """

    def __init__(self, message: str, *, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = dict(report or {})


class OutOfMemory(ZeropanError, MemoryError):
    """The smallest piece of work does not fit into memory."""


class TransientError(ZeropanError):
    """A fault that another try may mend (a network file system, a busy database)."""
