"""Pruning by size takes nothing that a named or a compared run needs."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tests.commands import Zeropan, how, report_of, segment
from zeropan.scenes.render import render_scene
from zeropan.tasks.work import STAGES

WORDS = {"things": ["cup"], "stuff": ["wood"]}


def test_named_and_compared_runs_stay_whole(tmp_path: Path, zeropan: Zeropan) -> None:
    home = str(tmp_path / "home")
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(render_scene(20 + number, height=48, width=64).image).save(path)
    named = segment([paths[0]], WORDS, home=home, name="the good one")
    one, other = (
        segment([paths[1]], WORDS, home=home, config={"things": {"box_threshold": value}})
        for value in (0.3, 0.5)
    )
    segment([paths[2]], WORDS, home=home)
    report_of(
        zeropan(
            "compare", one["tracking_run_id"], other["tracking_run_id"], "--home", home, "--json"
        )
    )
    pruned = zeropan("store", "prune", "--max-bytes", 0, "--grace", 0, "--home", home, "--json")
    assert pruned.returncode == 0, pruned.stderr
    # Of the third image nothing is left.
    assert len(json.loads(pruned.stdout)["expired"]) == len(STAGES)
    for path in paths[:2]:
        kept = segment([path], WORDS, home=home)
        assert set(how(kept).values()) == {"cached"}
    assert named["failed"] == 0
    again = segment([paths[2]], WORDS, home=home)
    assert set(how(again).values()) == {"computed"}
