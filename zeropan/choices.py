"""What may be chosen by name. Commands, flows and models share these; nothing is imported here."""

from typing import Literal

Method = Literal["default", "reference"]
"""Whose parameters: zeropan's own, or those of the proof of concept that the method comes from."""
Precision = Literal["fp32", "bf16"]
"""Arithmetic of the backbones."""
PrecisionChoice = Literal["auto", "fp32", "bf16"]
"""auto: bf16 where the device is fast at it."""
Runner = Literal["auto", "threads", "processes", "dask"]
"""Who runs a data set's batches; auto: threads for one worker, else processes."""
TaskRuns = Literal["stages", "batches"]
"""What Prefect has a task run of: each stage of an image, or a batch of images."""
ShardPlace = Literal["here", "pool"]
"""Where the parts of a very large run take place: in its process, or by the workers of a pool."""
Layout = Literal["folder", "zip"]
"""How an artifact's files lie in the store."""
Pairs = Literal["all", "train", "held_out"]
"""Colours of rendered things: all, those of the training, or those held out."""
