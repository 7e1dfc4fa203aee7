"""What a person sees in MLflow's UI: the overlays of two runs next to each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import STUFF, THINGS, again, segment
from tests.servers import free_port

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed"
)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1800,1400",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(
    scene_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """One image with three thresholds."""
    home = tmp_path_factory.mktemp("home")
    first = segment(
        images=[str(scene_file)], words={"things": THINGS, "stuff": STUFF}, home=str(home)
    )
    others = [
        again(first["tracking_run_id"], changes=[f"things.box_threshold={value}"], home=str(home))
        for value in (0.6, 0.97)
    ]
    return home, [first, *others]


@pytest.fixture(scope="module")
def link(runs: tuple[Path, list[dict[str, Any]]]) -> Iterator[str]:
    """The address that `zeropan ui` prints, once the server answers."""
    home, _ = runs
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "zeropan",
            "ui",
            "--home",
            str(home),
            "--port",
            str(port),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                time.sleep(0.5)
        yield found.group()
    finally:
        os.killpg(process.pid, 15)
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def pictures(browser: Any) -> list[tuple[str, str, dict[str, int], dict[str, int]]]:
    """(key, run id, place, size) of every picture of a run that the page has loaded."""
    found = browser.execute_script(
        "return [...document.querySelectorAll('img')].filter(i => i.complete && i.naturalWidth)"
        ".map(i => {const b = i.getBoundingClientRect();"
        "return [i.src, b.x, b.y, b.width, b.height]})"
    )
    shown = []
    for source, x, y, width, height in found:
        match = re.search(r"images%2Fpanels~(.+?)%2Bstep.*run_uuid=(\w+)", source)
        if match:
            key = match.group(1).replace("%20", " ")
            shown.append(
                (key, match.group(2), {"x": x, "y": y}, {"width": width, "height": height})
            )
    return shown


def test_the_overlays_of_the_runs_are_next_to_each_other(
    browser: Any, link: str, runs: tuple[Path, list[dict[str, Any]]]
) -> None:
    wanted = {report["tracking_run_id"] for report in runs[1]}
    browser.get(link)
    deadline = time.monotonic() + 120
    rows: dict[tuple[str, int], set[str]] = {}
    while time.monotonic() < deadline:
        rows = {}
        for key, run, place, size in pictures(browser):
            if size["width"] >= 100:
                rows.setdefault((key, round(place["y"])), set()).add(run)
        if any(key == "07 overlay" and wanted <= found for (key, _), found in rows.items()):
            break
        time.sleep(1)
    overlays = [found for (key, _), found in rows.items() if key == "07 overlay"]
    assert any(wanted <= found for found in overlays), rows
    places = {run: place["x"] for key, run, place, _ in pictures(browser) if key == "01 boxes"}
    assert len(set(places.values())) == len(wanted)


def test_run_names_say_what_changed(
    browser: Any, link: str, runs: tuple[Path, list[dict[str, Any]]]
) -> None:
    browser.get(link)
    deadline = time.monotonic() + 60
    text = ""
    while time.monotonic() < deadline and "box_threshold 0.3 → 0.97" not in text:
        text = browser.execute_script("return document.body.innerText")
        time.sleep(1)
    assert "box_threshold 0.3 → 0.97" in text
    assert "box_threshold 0.3 → 0.6" in text
