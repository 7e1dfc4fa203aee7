"""Figures for docs/, drawn from what a benchmark has measured."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.bootstrap import difference_interval
from benchmarks.scoring import Row


def draw_ablation(rows: list[Row], path: Path) -> None:
    """What each difference is worth: its 95% interval in PQ, and what it costs or saves in time.

    Args:
        rows: the default, the reference, then the default without one difference each.
        path: the PNG to write.
    """
    default, shown = rows[0], rows[2:]
    names = [row.name.removeprefix("without: ") for row in shown]
    figure = Figure(figsize=(9, 0.32 * len(shown) + 1.4), layout="constrained")
    gain, time = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    for place, row in enumerate(shown):
        low, high = difference_interval(default.scenes, row.scenes)
        colour = "#1b7f4d" if low > 0 else "#b3322b" if high < 0 else "#808080"
        gain.plot([low, high], [place, place], color=colour, linewidth=5, solid_capstyle="butt")
    gain.axvline(0, color="black", linewidth=0.8)
    gain.set_yticks(range(len(shown)), names)
    gain.invert_yaxis()
    gain.set_xlabel("PQ that the difference brings (95% interval; grey: no evidence)")
    time.barh(range(len(shown)), [row.seconds / default.seconds for row in shown], color="#4477aa")
    time.axvline(1, color="black", linewidth=0.8)
    time.set_xlabel("seconds without it,\nof the default's")
    for axis in (gain, time):
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
