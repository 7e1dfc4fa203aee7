"""Every file, folder, module and link that the documentation names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The change log speaks of what was.
PAGES = [
    page
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    if page.name != "CHANGELOG.md"
]
TOPS = "flows|tasks|storage|zeropan|docs|tests|benchmarks|training|examples"
# Not within an address or a longer path, such as /srv/zeropan/.venv or s3://bucket/zeropan/2026.
PATH = re.compile(rf"(?<![\w/.:~-])(?:{TOPS})/[\w./-]*")
MODULE = re.compile(r"(?<![\w/.:-])(?:zeropan|benchmarks|training|tests)(?:\.[a-z_]\w*)+")
LINK = re.compile(r"\]\(([^)#\s]+)")


def paths_in(text: str) -> Iterator[str]:
    for found in PATH.findall(text):
        yield found.rstrip(".-")


def modules_in(text: str) -> Iterator[str]:
    """Dotted names that begin with a package here; `zeropan.rerun_of` is a tag of MLflow's."""
    for found in MODULE.findall(text):
        first, second, *_ = found.split(".")
        if first != "zeropan" or (ROOT / first / second).is_dir():
            yield found


def is_there(module: str) -> bool:
    """Whether all of it is a module, or all but a name that the module holds."""
    place = ROOT.joinpath(*module.split("."))
    if place.is_dir() or place.with_suffix(".py").is_file():
        return True
    file = place.parent.with_suffix(".py")
    return file.is_file() and re.search(rf"\b{place.name}\b", file.read_text()) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [path for path in paths_in(text) if not (ROOT / path).exists()]
    missing += [module for module in modules_in(text) if not is_there(module)]
    links = [link for link in LINK.findall(text) if "://" not in link]
    missing += [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_test_finds_names() -> None:
    text = "see `flows/gone.py`, docs/rerun.md. /srv/zeropan/x and https://host/docs/x are not ours"
    assert list(paths_in(text)) == ["flows/gone.py", "docs/rerun.md"]
    assert list(modules_in("zeropan.flows.gone, tag zeropan.rerun_of")) == ["zeropan.flows.gone"]
    assert not is_there("zeropan.flows.gone")
    assert is_there("zeropan.tracking.ui.ui_command")
    pages = {page.name for page in PAGES}
    assert {"README.md", "architecture.md"} <= pages
    assert sum(len(list(paths_in(page.read_text()))) for page in PAGES) > 50
