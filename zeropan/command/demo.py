"""zeropan demo: a rendered tabletop scene, segmented from words alone."""

from __future__ import annotations

from zeropan.command.execution import console, run_flow, show_any
from zeropan.command.options import Home, Json, Verbose
from zeropan.request.places import Places


def demo(
    home: Home = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Render a tabletop scene and segment it with the bundled tiny models."""
    from zeropan.command.demo_scene import conclude, prepare, setup_for

    scene = prepare(Places.resolve(home=home).home)
    setup = setup_for(scene, home)
    report = run_flow("run", verbose, setup.how, sources=[str(scene.path)], setup=setup)
    show_any(report, as_json)
    if not as_json:
        conclude(scene, report, console())
