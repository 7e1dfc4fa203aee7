"""The quality of a data set as plain data: a table, metrics, a rendering."""

from __future__ import annotations

from pydantic import BaseModel, Field
from rich.console import Console
from rich.table import Table

from zeropan.evaluation.panoptic_quality import Quality, QualityReport
from zeropan.reports.run import RunReport
from zeropan.reports.terminal import conclude
from zeropan.segmentation.categories import Categories
from zeropan.tracking.summary import category_metric


class CategoryRow(BaseModel):
    """One line of the table; shares are 0 to 1."""

    category: str
    pq: float
    sq: float
    rq: float
    true_positives: int
    false_positives: int
    false_negatives: int


class EvalReport(RunReport):
    """One evaluation: a run, and how good its results are."""

    dataset: str = ""
    rows: list[CategoryRow] = Field(default_factory=list)
    """All, things and stuff first, then each category that occurs."""
    metrics_of_quality: dict[str, float] = Field(default_factory=dict)
    """quality/pq and such, by the names that MLflow has them under."""

    def metrics(self) -> dict[str, float]:
        """Numbers of the whole run for MLflow, the quality among them."""
        return super().metrics() | self.metrics_of_quality

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [
            f"Panoptic quality of `{self.dataset}`, {self.done - self.failed} images",
            "",
            "| category | PQ | SQ | RQ | TP | FP | FN |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        for row in self.rows:
            lines.append(
                f"| {row.category} | {row.pq:.3f} | {row.sq:.3f} | {row.rq:.3f} "
                f"| {row.true_positives} | {row.false_positives} | {row.false_negatives} |"
            )
        return "\n".join(lines)


def category_rows(categories: Categories, quality: QualityReport) -> list[CategoryRow]:
    """The table's lines: the means, then each category that occurs, worst first."""
    counts = quality.per_category
    kinds: list[tuple[str, Quality | None, list[int]]] = [
        ("all", quality.all, list(counts)),
        ("things", quality.things, [i for i in counts if categories.by_id(i).isthing]),
        ("stuff", quality.stuff, [i for i in counts if not categories.by_id(i).isthing]),
    ]
    rows = [
        CategoryRow(
            category=name,
            pq=mean.pq,
            sq=mean.sq,
            rq=mean.rq,
            true_positives=sum(counts[i].true_positives for i in ids),
            false_positives=sum(counts[i].false_positives for i in ids),
            false_negatives=sum(counts[i].false_negatives for i in ids),
        )
        for name, mean, ids in kinds
        if mean is not None
    ]
    for number in sorted(counts, key=lambda i: counts[i].pq):
        if counts[number].occurs:
            rows.append(
                CategoryRow(
                    category=categories.by_id(number).name,
                    pq=counts[number].pq,
                    sq=counts[number].sq,
                    rq=counts[number].rq,
                    true_positives=counts[number].true_positives,
                    false_positives=counts[number].false_positives,
                    false_negatives=counts[number].false_negatives,
                )
            )
    return rows


def quality_metrics(categories: Categories, quality: QualityReport) -> dict[str, float]:
    """Names for MLflow: quality/pq, quality/pq_things, quality_pq/<category> and so on."""
    metrics: dict[str, float] = {}
    for suffix, mean in (
        ("", quality.all),
        ("_things", quality.things),
        ("_stuff", quality.stuff),
    ):
        if mean is not None:
            metrics |= {
                f"quality/pq{suffix}": mean.pq,
                f"quality/sq{suffix}": mean.sq,
                f"quality/rq{suffix}": mean.rq,
            }
    for number, counts in quality.per_category.items():
        if counts.occurs:
            name = category_metric("quality_pq", categories.by_id(number).name)
            metrics[name] = counts.pq
    return metrics


def render_evaluation(report: EvalReport, console: Console) -> None:
    """Print an evaluation for a person."""
    table = Table(
        title=f"{report.dataset}: {report.done - report.failed} images", title_justify="left",
        show_edge=False, pad_edge=False,
    )  # fmt: skip
    for column in ("category", "PQ", "SQ", "RQ", "TP", "FP", "FN"):
        table.add_column(column, justify="left" if column == "category" else "right")
    for row in report.rows:
        table.add_row(
            row.category,
            *(f"{value:.3f}" for value in (row.pq, row.sq, row.rq)),
            *map(str, (row.true_positives, row.false_positives, row.false_negatives)),
            end_section=row.category == "stuff",
        )
    console.print(table)
    judged = [row for row in report.images if row.pq is not None]
    if judged:
        worst = min(judged, key=lambda row: row.pq or 0.0)
        console.print(f"worst     {worst.image} (PQ {worst.pq:.2f})", soft_wrap=True, markup=False)
    console.print(
        f"stages    {report.stages_computed} computed, {report.stages_cached} cached, "
        f"{report.seconds:.1f} s",
        highlight=False,
    )
    if report.failures:
        console.print(report.in_words(), highlight=False, markup=False)
    conclude(report, console)
