"""The error of everything that has to do with tracking.

    ZeropanError
    └── TrackingError    MLflow could not be asked, or could not do what was asked

A result never depends on its record: callers turn this error into a warning and go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zeropan.errors import ZeropanError
from zeropan.segmentation.images import shown, without_user


class TrackingError(ZeropanError):
    """The tracking server or its database cannot do what was asked."""


@contextmanager
def as_tracking_error(doing: str, where: str) -> Iterator[None]:
    """Turn whatever is raised inside into one TrackingError.

    Args:
        doing: what was tried, such as "log metrics".
        where: the tracking URI.
    """
    try:
        yield
    except TrackingError:
        raise
    # MLflow lets errors of its database driver, its HTTP client and its artifact stores through,
    # of a dozen unrelated types; none of them may end a segmentation.
    except Exception as error:
        cause = without_user(" ".join(str(error).split()))
        if len(cause) > 300:
            cause = cause[:299] + "…"
        raise TrackingError(
            f"could not {doing} at {shown(where)}: {type(error).__name__}: {cause}; check that the "
            "tracking URI is right and its server is up, or run without tracking"
        ) from error
