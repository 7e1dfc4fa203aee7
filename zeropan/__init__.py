"""Zero-shot panoptic segmentation as a pipeline you can re-run stage by stage.

    import zeropan
    result = zeropan.segment("photo.jpg", things=["cup"], stuff=["wood"], preset="base")

docs/python.md shows the rest. What is named here is imported when it is first used, so that
`import zeropan` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeropan.api import Category, Result, Segment, segment, segment_many

__version__ = "0.2.0.dev0"
__all__ = ["Category", "Result", "Segment", "__version__", "segment", "segment_many"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from zeropan import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
