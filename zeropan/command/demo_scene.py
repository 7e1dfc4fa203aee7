"""The demonstration's picture, a rendered tabletop scene, and what is said about its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from zeropan.evaluation.panoptic_quality import PanopticQuality
from zeropan.evaluation.truth import GroundTruth
from zeropan.machine.files import write_whole
from zeropan.pictures.encoding import png_bytes
from zeropan.reports.run import RunReport
from zeropan.request.setup import Setup
from zeropan.request.setup_file import build_setup
from zeropan.scenes.render import render_scene
from zeropan.scenes.scene import Scene
from zeropan.scenes.truth import panoptic_of
from zeropan.scenes.vocabulary import STUFF, THINGS
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Panoptic

DEMO_SEED = 1003
"""A scene that no model was trained on."""
DEMO_SIZE = (576, 768)


@dataclass(frozen=True)
class DemoScene:
    """The rendered scene and its file."""

    scene: Scene
    path: Path


def prepare(home: Path) -> DemoScene:
    """Render the scene into a file below `home`; the same bytes each time."""
    height, width = DEMO_SIZE
    scene = render_scene(DEMO_SEED, height=height, width=width)
    path = home / "demo" / "tabletop.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, png_bytes(scene.image))
    return DemoScene(scene, path)


def words(scene: Scene) -> tuple[list[str], list[str]]:
    """The names of what lies in the scene, in the vocabulary's order."""
    present = {segment.name for segment in scene.segments}
    return [w for w in THINGS if w in present], [w for w in STUFF if w in present]


def setup_for(demo: DemoScene, home: str | None) -> Setup:
    """The setup of the demonstration's run."""
    things, stuff = words(demo.scene)
    return build_setup(
        what={"words": {"things": things, "stuff": stuff}, "preset": "tiny"},
        how={"home": home, "name": "demo"},
    )


def conclude(demo: DemoScene, report: dict[str, Any], console: Console) -> None:
    """Say how good the result is, since a rendered scene has an exact truth, and what is next."""
    run = RunReport.model_validate(report)
    things, stuff = words(demo.scene)
    categories = Categories.from_words(things, stuff).canonical
    result = _read_panoptic(run)
    quality = PanopticQuality.of(categories)
    quality.add(GroundTruth.of(panoptic_of(demo.scene, categories)), result)
    measured = quality.result().all
    if measured is not None:
        console.print(
            f"quality   PQ {measured.pq:.2f} against the scene's exact truth", highlight=False
        )
    console.print(
        "runs      zeropan ui   (the MLflow UI: open it and pick the experiment zeropan)",
        highlight=False,
    )
    if run.computed:
        console.print("again     make demo   (answered from the cache)", highlight=False)


def _read_panoptic(run: RunReport) -> Panoptic:
    from zeropan.storage.keys import ArtifactKey
    from zeropan.storage.store import ArtifactStore

    last = run.images[0].stages[-1]
    return ArtifactStore(run.store).read(ArtifactKey(last.stage, last.digest), Panoptic)
