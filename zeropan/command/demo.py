"""zeropan demo: a rendered tabletop scene, segmented from words alone."""

from __future__ import annotations

from rich.console import Console

from zeropan.command.execution import run_flow, show
from zeropan.command.options import Home, Json, Verbose
from zeropan.request.places import Places


def demo(
    home: Home = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Render a tabletop scene and segment it with the bundled tiny models."""
    from zeropan.command.demo_scene import conclude, flow_parameters, prepare

    scene = prepare(Places.resolve(home=home).home)
    report = run_flow("segment_images", verbose, **flow_parameters(scene, home))
    show(report, as_json)
    if not as_json:
        conclude(scene, report, Console())
