"""What a re-run costs, as a share of a first run on the same machine at the same moment.

    python -m benchmarks.reruns [--images N] [--repeat N] [--size base|reference]

For each row the flow runs over the same rendered scenes. "stages" is the time in the seven stages'
bodies, "whole" is the flow run with Prefect, MLflow and pictures; both without starting Prefect's
server. Figures are medians. With --size the models have a published preset's size and random
values: what they find is noise, what they cost is not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

PAUSE_S = 3
CHANGES = {
    "unchanged": {},
    "4 panoptic: min_stuff_area": {"panoptic": {"min_stuff_area": 0.01}},
    "3 stuff_masks: points_per_region": {"stuff_masks": {"points_per_region": 9}},
    "2 stuff_regions: background_threshold": {"stuff_regions": {"background_threshold": 0.17}},
    "1 things: box_threshold": {"things": {"box_threshold": 0.29}},
}


def main() -> None:
    """Run the benchmark and write a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", choices=["base", "reference"], help="random models of this size")
    arguments = parser.parse_args()
    measured: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="zeropan-bench-") as folder:
        os.environ["PREFECT_HOME"] = f"{folder}/prefect"
        preset = arguments.size or "tiny"
        side = 256
        if arguments.size:
            from benchmarks.random_weights import write_models

            side = 768
            os.environ["ZEROPAN_MODELS"] = f"{folder}/models"
            sam = {"base": "vit_b", "reference": "vit_h"}[preset]
            write_models(Path(folder) / "models", sam=sam)
        images = render(Path(folder), arguments.images, side)
        # Loads the models and starts the server, so that the first run measured pays for neither.
        run(render(Path(folder), 1, 64), Path(folder) / "warm-up", {}, preset)
        for number in range(arguments.repeat):
            home = Path(folder) / f"home-{number}"
            measured.setdefault("first run", []).append(run(images, home, {}, preset))
            for name, change in CHANGES.items():
                measured.setdefault(name, []).append(run(images, home, change, preset))
    print(markdown(measured, arguments.images))


def render(folder: Path, count: int, side: int) -> list[str]:
    """Rendered scenes as files."""
    from PIL import Image

    from zeropan.scenes.render import render_scene

    paths = []
    for seed in range(count):
        paths.append(str(folder / f"scene-{seed}-{side}.png"))
        scene = render_scene(seed, height=side * 3 // 4, width=side)
        Image.fromarray(scene.image).save(paths[-1])
    return paths


def run(
    images: list[str], home: Path, change: dict[str, dict[str, float]], preset: str
) -> tuple[float, float]:
    """Seconds in the stages' bodies, and of the whole flow run."""
    from zeropan.flows.run import run as segment
    from zeropan.request.setup_file import build_setup
    from zeropan.scenes.vocabulary import STUFF, THINGS
    from zeropan.segmentation.config import PipelineConfig

    # Prefect's server, on the same cores, still writes down the run before.
    time.sleep(PAUSE_S)
    config = PipelineConfig()
    if preset != "tiny":
        # Random models are sure of nothing, and a lower threshold would find a hundred things.
        things = config.things.model_copy(update={"max_boxes": 8})
        config = config.model_copy(update={"things": things})
    for stage, values in change.items():
        part = getattr(config, stage).model_copy(update=values)
        config = config.model_copy(update={stage: part})
    started = time.perf_counter()
    what = {
        "words": {"things": list(THINGS), "stuff": list(STUFF)},
        "config": config.model_dump(),
        "preset": preset,
    }
    setup = build_setup(what=what, how={"home": str(home), "pictures": len(images)})
    report = segment(images, setup)
    whole = time.perf_counter() - started
    stages = sum(stage["seconds"] for image in report["images"] for stage in image["stages"])
    return stages, whole


def markdown(measured: dict[str, list[tuple[float, float]]], images: int) -> str:
    """A table of medians and of ratios to the first run."""
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in measured.items()
    }
    base = medians["first run"]
    lines = [
        "| run | stages, s an image | of the first run | whole, s an image | of the first run "
        "| orchestration |",
        "|---|---|---|---|---|---|",
    ]
    for name, (stages, whole) in medians.items():
        lines.append(
            f"| {name} | {stages / images:.3f} | {stages / base[0]:.1%} "
            f"| {whole / images:.3f} | {whole / base[1]:.1%} | {1 - stages / whole:.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
