"""The flow that segments images: one, a folder that fills up, a bucket, a list.

Read next: flows/recording.py, what is kept of a run; flows/engine.py, how it goes through its
images; flows/chain.py, the steps.
"""

from __future__ import annotations

from typing import Any

from prefect import flow

from zeropan.flows.deployed import takes_release_0_1
from zeropan.flows.run_images import run_images
from zeropan.request.setup import Setup


@takes_release_0_1
@flow(name="run", flow_run_name="run {sources}", validate_parameters=True, result_serializer="json")
def run(sources: list[str], setup: Setup) -> Any:
    """Segment every image of the sources that has no result yet.

    Args:
        sources: image files, folders, globs, COCO image lists or .txt lists; paths or fsspec URLs.
        setup: what is asked of them, and how it is done.

    Raises:
        BadInput: a source does not exist or holds no image, or there are no words.
        TooManyFailures: more images failed than are allowed, or all of them, unless these are
            images that had failed before.
    """
    return run_images(sources, setup)
