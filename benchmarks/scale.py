"""What many images cost: workers, the cache, memory, bytes and housekeeping.

    python -m benchmarks.scale [workers|cached|memory|bytes|left|store ...]

Each part prints a markdown table. Prefect's server runs on loopback, as in a real deployment;
images are rendered scenes, the models those in the repository. Ratios are to the first row of the
same run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

WORDS = ["--things", "nigiri, maki, cup, plate, bowl", "--stuff", "wood, cloth, marble"]


@contextmanager
def prefect_server(folder: Path) -> Iterator[None]:
    """A Prefect server on loopback; the environment points to it while the block runs."""
    from tests.servers import free_port, prefect_at, running, start_prefect

    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    port = free_port()
    with running(start_prefect(folder / "prefect", port)):
        os.environ.update(prefect_at(folder / "prefect", port))
        yield


def scenes(folder: Path, count: int, *, width: int) -> Path:
    """A folder with so many rendered scenes of 4:3."""
    from PIL import Image

    from zeropan.scenes.render import render_scene

    folder.mkdir(parents=True)
    for seed in range(count):
        scene = render_scene(seed, height=width * 3 // 4, width=width)
        Image.fromarray(scene.image).save(folder / f"{seed:05}.png")
    return folder


def run(images: Path, home: Path, *options: str) -> dict[str, Any]:
    """`zeropan run` in a process of its own; its report."""
    command = [sys.executable, "-m", "zeropan", "run", str(images), *WORDS, "--home", str(home)]
    done = subprocess.run(
        [*command, "--json", "--pictures", "0", *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def workers(folder: Path) -> None:
    """Images a second with 1, 2 and 4 workers."""
    images = scenes(folder / "in", 64, width=256)
    rows = []
    for count in (1, 2, 4):
        report = run(images, folder / f"home-{count}", "--workers", str(count))
        rows.append((count, report["images"] / report["seconds"]))
    table(
        ["workers", "images a second", "ratio"],
        [[str(n), f"{rate:.2f}", f"{rate / rows[0][1]:.2f}"] for n, rate in rows],
    )


def cached(folder: Path) -> None:
    """Milliseconds an image when its result is stored, beside a few and beside 10,000 others."""
    images = scenes(folder / "in", 64, width=256)
    first = run(images, folder / "home")
    few = run(images, folder / "home")
    populate(folder / "home" / "store", 10_000)
    many = run(images, folder / "home")
    rows = [
        ("computed", first), ("stored", few), ("stored, among 10,000 more", many),
    ]  # fmt: skip
    base = first["seconds"]
    table(
        ["64 images", "ms an image, of the whole run", "ratio"],
        [
            [name, f"{1000 * report['seconds'] / report['images']:.1f}",
             f"{report['seconds'] / base:.4f}"]
            for name, report in rows
        ],
    )  # fmt: skip


def memory(folder: Path) -> None:
    """Resident memory of the process over 1,000 images."""
    images = scenes(folder / "in", 1000, width=96)
    home = folder / "home"
    command = """
import sys
from zeropan.flows.run import run
run([sys.argv[1]], {"things": ["nigiri", "cup", "plate"], "stuff": ["wood", "cloth"]},
    home=sys.argv[2], pictures=0)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(images), str(home)], stderr=subprocess.DEVNULL
    )
    marks, rows = [50, *range(100, 1001, 100)], []
    results = home / "store" / "panoptic"
    while process.poll() is None and marks:
        if results.exists() and sum(1 for _ in results.glob("*.json")) >= marks[0]:
            rows.append((marks.pop(0), resident_mb(process.pid)))
        time.sleep(0.2)
    process.wait()
    base = rows[0][1]
    table(
        ["images done", "MB", "ratio"],
        [[str(n), f"{mb:.0f}", f"{mb / base:.2f}"] for n, mb in rows],
    )


def resident_mb(pid: int) -> float:
    """Resident set of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def stored_bytes(folder: Path) -> None:
    """Bytes of each stage's artifact, beside COCO's run-length code of the same segments."""
    import hotcoco.mask
    import numpy as np

    from zeropan.segmentation.records import Panoptic
    from zeropan.storage.store import ArtifactStore
    from zeropan.storage.upkeep import entries

    side = 256
    images = scenes(folder / "in", 40, width=side)
    home = folder / "home"
    run(images, home)
    store = ArtifactStore(str(home / "store"))
    sizes: dict[str, list[int]] = {}
    rle = []
    for entry in entries(store):
        sizes.setdefault(entry.key.stage, []).append(entry.bytes)
        if entry.key.stage == "panoptic":
            result = store.read(entry.key, Panoptic)
            codes = [
                hotcoco.mask.encode(np.asfortranarray(result.label_map == info.id, dtype=np.uint8))
                for info in result.segments_info
            ]
            text = [{"size": c["size"], "counts": c["counts"].decode()} for c in codes]
            rle.append(len(json.dumps(text, separators=(",", ":"))))
    base = statistics.mean(rle)
    rows = [["COCO RLE of the panoptic segments, as JSON", f"{base:,.0f}", "1.0"]]
    for stage, numbers in sizes.items():
        mean = statistics.mean(numbers)
        rows.append([stage, f"{mean:,.0f}", f"{mean / base:.1f}"])
    png = [path.stat().st_size for path in (home / "output").rglob("*.png")]
    if png:
        mean = statistics.mean(png)
        rows.append(["panoptic PNG (output)", f"{mean:,.0f}", f"{mean / base:.1f}"])
    table([f"{side} x {side * 3 // 4} pixels", "bytes an image", "ratio"], rows)


def left_behind(folder: Path) -> None:
    """What an image leaves behind: files, and rows in the Prefect server's database."""
    from zeropan.storage.store import ArtifactStore

    number = 48
    images = scenes(folder / "in", number, width=256)
    database = Path(os.environ["PREFECT_HOME"]) / "prefect.db"
    run(images, folder / "warm-up", "--limit", "16")
    out, base = [], 0.0
    for layout, task_runs in itertools.product(("folder", "zip"), ("stages", "batches")):
        home = folder / f"{layout}-{task_runs}"
        ArtifactStore(str(home / "store")).set_layout(layout)
        before = settled_rows(database)
        report = run(images, home, "--task-runs", task_runs)
        after = settled_rows(database)
        grown = {name: (after[name] - before.get(name, 0)) / number for name in after}
        files = [path for path in (home / "store").rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / number
        rate = report["images"] / report["seconds"]
        base = base or rate
        written = sum(count for name, count in grown.items() if name != "bytes")
        out.append(
            [layout, task_runs, f"{rate / base:.2f}", f"{len(files) / number:.1f}", f"{size:,.0f}",
             f"{grown['task_run']:.1f}", f"{written:.0f}", f"{grown['bytes']:,.0f}"]
        )  # fmt: skip
    table(
        ["layout", "task runs", "images a second, ratio", "files", "bytes", "task runs",
         "rows of Prefect", "bytes of Prefect's database"],
        out,
    )  # fmt: skip


def settled_rows(database: Path) -> dict[str, int]:
    """`table_rows`, once the server has written what is still on its way."""
    last: dict[str, int] = {}
    while (now := table_rows(database)) != last:
        last = now
        time.sleep(15)
    return now


def table_rows(database: Path) -> dict[str, int]:
    """Rows of each table of a SQLite file, and under "bytes" what its pages take."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        rows = {
            name: int(connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0])
            for name in names
        }
        pages, size = (
            int(connection.execute(f"PRAGMA {what}").fetchone()[0])
            for what in ("page_count", "page_size")
        )
    return rows | {"bytes": pages * size}


def housekeeping(folder: Path) -> None:
    """Seconds to list, verify and prune a store of 10,000 artifacts."""
    from zeropan.storage.store import ArtifactStore
    from zeropan.storage.upkeep import entries, prune, verify

    place = folder / "store"
    populate(place, 10_000)
    store = ArtifactStore(str(place))
    actions: dict[str, Callable[[], int]] = {
        "list": lambda: sum(1 for _ in entries(store)),
        "verify": lambda: sum(1 for check in verify(store) if check.status == "ok"),
        "prune, nothing to remove": lambda: 10_000 - len(prune(store).removed),
        "prune, all too old": lambda: len(prune(store, older_than_s=0).expired),
    }
    rows: list[tuple[str, float]] = []
    for name, action in actions.items():
        started = time.perf_counter()
        count = action()
        if count != 10_000:
            raise AssertionError(f"{name}: {count} artifacts, not 10,000")
        rows.append((name, time.perf_counter() - started))
    table(
        ["10,000 artifacts", "seconds", "ratio"],
        [[name, f"{s:.1f}", f"{s / rows[0][1]:.2f}"] for name, s in rows],
    )


def populate(place: Path, count: int) -> None:
    """Write so many panoptic artifacts, all of the same scene's truth."""
    from zeropan.scenes.render import render_scene
    from zeropan.scenes.truth import panoptic_of
    from zeropan.segmentation.categories import Categories
    from zeropan.storage.keys import artifact_key
    from zeropan.storage.store import ArtifactStore

    categories = Categories.from_words(
        ["nigiri", "maki", "cup", "plate", "bowl"], ["wood", "cloth", "marble"]
    )
    truth = panoptic_of(render_scene(3, height=192, width=256), categories)
    store = ArtifactStore(str(place))
    for number in range(count):
        store.write(
            artifact_key("panoptic", version=1, inputs={"number": number}), truth, provenance={}
        )


PARTS: dict[str, Callable[[Path], None]] = {
    "workers": workers,
    "cached": cached,
    "memory": memory,
    "bytes": stored_bytes,
    "left": left_behind,
    "store": housekeeping,
}


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print a markdown table."""
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    chosen = parser.parse_args().parts or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="zeropan-bench-") as folder:
        base = Path(folder)
        with prefect_server(base):
            for part in chosen:
                PARTS[part](base / part)


if __name__ == "__main__":
    main()
