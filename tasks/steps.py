"""The four steps as tasks: each reads what is stored above it and stores its result.

What they compute is in `segmentation/pipeline.py`, where their inputs come from in `stages.py`.
"""

from __future__ import annotations

from zeropan.tasks.cache import cached_stage

things = cached_stage("things", "Step 1: boxes above their threshold become masks.")
stuff_regions = cached_stage(
    "stuff_regions", "Step 2: the best stuff word of every pixel that no thing covers."
)
stuff_masks = cached_stage(
    "stuff_masks", "Step 3: points sampled from the regions become masks with better outlines."
)
panoptic = cached_stage("panoptic", "Step 4: things and stuff become one label map.")
