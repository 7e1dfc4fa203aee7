"""zeropan store: what it says, what it removes, and its exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zeropan.command.main import main
from zeropan.segmentation.records import StuffRegions
from zeropan.storage.keys import artifact_key
from zeropan.storage.store import ArtifactRef, ArtifactStore

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run `zeropan store ...` on a home; its exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["zeropan", "store", *arguments, "--home", str(tmp_path)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def stored(tmp_path: Path) -> list[ArtifactRef]:
    store = ArtifactStore(str(tmp_path / "store"))
    return [
        store.write(
            artifact_key("stuff_regions", version=1, inputs={"n": number}),
            StuffRegions(np.full((8, 8), number, np.int32), np.ones((8, 8), np.float16)),
            provenance={"seconds": 0.5, "result": {"regions": 1}},
        )
        for number in range(2)
    ]


def damage(tmp_path: Path, ref: ArtifactRef) -> None:
    chunk = next((tmp_path / "store" / ref.stage / ref.digest).rglob("label_map/c/*/*"))
    chunk.write_bytes(b"not what was written")


def test_an_empty_store_is_no_error(command: Command) -> None:
    code, out, _ = command("ls")
    assert code == 0
    assert "0 artifacts" in out


def test_ls_names_every_artifact(command: Command, stored: list[ArtifactRef]) -> None:
    code, out, _ = command("ls", "--json")
    assert code == 0
    assert {row["key"] for row in json.loads(out)} == {str(ref.key) for ref in stored}


def test_show_says_where_it_is(command: Command, stored: list[ArtifactRef]) -> None:
    code, out, _ = command("show", str(stored[0].key)[:24])
    assert code == 0
    about = json.loads(out)
    assert about["provenance"]["result"] == {"regions": 1}
    assert (Path(about["zarr_group"]) / "zarr.json").is_file()


@pytest.mark.parametrize("prefix, code", [("stuff_regions", 2), ("panoptic/00", 1)])
def test_show_refuses_what_names_none_or_two(
    command: Command, stored: list[ArtifactRef], prefix: str, code: int
) -> None:
    ended, out, err = command("show", prefix)
    assert (ended, out) == (code, "")
    assert len(err.strip().splitlines()) == 1


def test_verify_finds_damage_and_prune_removes_it(
    command: Command, stored: list[ArtifactRef], tmp_path: Path
) -> None:
    assert command("verify")[0] == 0
    damage(tmp_path, stored[1])
    code, out, _ = command("verify", "--json")
    assert code == 3
    assert {row["name"]: row["status"] for row in json.loads(out)} == {
        str(stored[0].key): "ok",
        str(stored[1].key): "damaged",
    }
    _, out, _ = command("prune", "--dry-run", "--json")
    assert json.loads(out)["removed"] == [str(stored[1].key)]
    assert command("verify")[0] == 3
    assert command("prune")[0] == 0
    assert command("verify")[0] == 0


def test_the_layout_is_said_and_set(command: Command) -> None:
    assert command("layout")[1].strip() == "folder"
    assert command("layout", "zip")[1].strip() == "zip"
    assert command("layout")[1].strip() == "zip"
    code, out, err = command("layout", "tar")
    assert (code, out) == (2, "")
    assert "'tar'" in err and "folder | zip" in err


def test_prune_refuses_an_unknown_stage(command: Command) -> None:
    code, _, err = command("prune", "--older-than", "1", "--stage", "stuff")
    assert code == 2
    assert "'stuff'" in err and "stuff_regions" in err
