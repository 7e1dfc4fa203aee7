"""Seconds and peak memory of the published sizes, with random weights.

    python -m benchmarks.costs [--models NAME ...] [--precisions fp32 bf16] [--device auto]

Each row is a process of its own, so that its peak is its own. The image is a rendered scene of
1024 x 768 pixels. What random models find is noise; what they cost is not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path

import torch
from torch import nn

from benchmarks.random_weights import write_clipseg, write_grounding_dino, write_sam
from zeropan.choices import Precision
from zeropan.models.clipseg.adapter import ClipSegSegmenter
from zeropan.models.grounding_dino.adapter import GroundingDinoDetector
from zeropan.models.loading import resolve_device
from zeropan.models.precision import resolve_precision
from zeropan.models.sam.adapter import SamSegmenter
from zeropan.scenes.render import render_scene
from zeropan.scenes.vocabulary import STUFF, THINGS

MODELS = (
    "grounding_dino_swin_t",
    "grounding_dino_swin_b",
    "sam_vit_b",
    "sam_vit_l",
    "sam_vit_h",
    "clipseg_rd64",
)
Work = Callable[[], object]


def write(name: str, folder: Path) -> None:
    """A model folder with random values."""
    torch.manual_seed(0)
    if name.startswith("grounding_dino"):
        write_grounding_dino(folder, "swin_b" if name.endswith("b") else "swin_t")
    elif name.startswith("sam"):
        write_sam(folder, name.removeprefix("sam_"))
    else:
        write_clipseg(folder)


def load(name: str, folder: Path, device: str, precision: Precision) -> tuple[int, str, Work]:
    """Number of parameters, what is timed, and how to run it."""
    image = render_scene(0, height=768, width=1024).image
    if name.startswith("grounding_dino"):
        detector = GroundingDinoDetector.load(folder, device=device, precision=precision)
        return size(detector.model), "12 words", lambda: detector.ground(image, THINGS)
    if name.startswith("sam"):
        sam = SamSegmenter.load(folder, device=device, precision=precision)
        return size(sam._sam), "image encoder", lambda: sam.embed(image)
    clipseg = ClipSegSegmenter.load(folder, device=device, precision=precision)
    return size(clipseg.model), "5 words", lambda: clipseg.score(image, STUFF)


def size(model: nn.Module) -> int:
    """How many parameters a model has."""
    return sum(value.numel() for value in model.parameters())


def measure(name: str, folder: Path, device: str, precision: str, queue: Queue[str]) -> None:
    """Load and run one model, and say what it cost."""
    chosen = resolve_precision(precision, device)
    count, what, work = load(name, folder, device, chosen)
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if device.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated() / 2**30
    queue.put(f"| {name} | {count / 1e6:.0f} M | {what} | {chosen} | {seconds:.1f} | {peak:.1f} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = resolve_device(given.device)
    print("| model | parameters | what | precision | seconds | peak memory, GiB |")
    print("|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")

    def alone(target: Callable[..., None], *arguments: object) -> None:
        process = context.Process(target=target, args=arguments)
        process.start()
        process.join()

    for name in given.models:
        with tempfile.TemporaryDirectory(prefix="zeropan-costs-") as folder:
            alone(write, name, Path(folder))
            for precision in given.precisions:
                queue: Queue[str] = context.Queue()
                alone(measure, name, Path(folder), device, precision, queue)
                while not queue.empty():
                    print(queue.get(), flush=True)


if __name__ == "__main__":
    main()
