"""Zero-shot panoptic segmentation as a pipeline you can re-run stage by stage."""

__version__ = "0.2.0.dev0"
