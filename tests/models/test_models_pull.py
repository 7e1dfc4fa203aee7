"""Pull, verify, remove: from a hub on this machine, with all that can go wrong on the way."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.hub_server import Hub, serve
from zeropan.command import models as cli_models
from zeropan.errors import BadConfig, WeightsDamaged, WeightsMissing, ZeropanError
from zeropan.models.loading import text_segmenter
from zeropan.models.presets import BUNDLED, PRESETS, find_preset
from zeropan.models.published import convert, install
from zeropan.models.published.components import COMPONENTS, Component, RemoteFile
from zeropan.models.published.convert import tensors_of

REPOSITORY = "maker/clipseg"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serve(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def clipseg(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Component]:
    """A component whose files are the bundled CLIPSeg's, on the hub."""
    files = []
    for path in sorted((BUNDLED / "clipseg").iterdir()):
        sha256 = hub.put(f"{REPOSITORY}/{path.name}", path.read_bytes())
        size = path.stat().st_size
        files.append(RemoteFile(path.name, repository=REPOSITORY, bytes=size, sha256=sha256))
    component = replace(COMPONENTS["clipseg_rd64"], files=tuple(files))
    monkeypatch.setitem(COMPONENTS, "clipseg_rd64", component)
    for name in ("base", "reference"):
        preset = PRESETS[name]
        monkeypatch.setitem(
            PRESETS, name, replace(preset, components=(*preset.components[:2], component))
        )
    monkeypatch.setenv("ZEROPAN_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    yield component


def pull(component: Component, source: Path | None = None) -> list[str]:
    said: list[str] = []
    install.pull(component, source=source, say=said.append)
    return said


def test_a_pulled_model_is_whole_and_runs_without_the_hub(
    hub: Hub, clipseg: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(clipseg)
    install.verify(clipseg)
    asked = len(hub.requests)
    assert "clipseg_rd64 is in" in pull(clipseg)[0]
    monkeypatch.setattr("zeropan.models.loading.find_preset", lambda _: PRESETS["base"])
    image = torch.zeros(40, 60, 3, dtype=torch.uint8).numpy()
    assert text_segmenter("base", "cpu").score(image, ["wood"]).logits.shape[0] == 1
    assert len(hub.requests) == asked, "nothing touches the network after a pull"
    manifest = install.read_manifest(install.folder_of(clipseg))
    assert manifest.sources["model.safetensors"] == f"{REPOSITORY}@main"


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_download_goes_on_where_it_stopped(
    hub: Hub, clipseg: Component, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)
    monkeypatch.setattr("time.sleep", lambda _: None)
    # The client tries six times; then the command fails, and is given again.
    hub.hang_ups = [1_000_000] if processes == 1 else [1_000_000, *[0] * 6]
    if processes == 2:
        with pytest.raises(WeightsMissing, match=r"what came is kept, so .* pull again"):
            pull(clipseg)
        assert install.state_of(clipseg) == "absent"
    pull(clipseg)
    started = [int((asked or "bytes=0-")[6:-1]) for asked in hub.ranges("model.safetensors")]
    assert started[0] == 0 and 900_000 < started[-1] <= 1_000_000
    install.verify(clipseg)


def test_a_plain_address_goes_on_where_it_stopped_too(
    hub: Hub, clipseg: Component, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 20_000
    sha256 = hub.put("files/net.bin", data)
    file = RemoteFile("net.bin", url=f"{hub.address}/files/net.bin", bytes=len(data), sha256=sha256)
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / "net.bin.incomplete").write_bytes(data[:1_234_567])
    found = install.fetch(file, clipseg, incoming, source=None)
    assert found.read_bytes() == data
    assert hub.ranges("net.bin") == ["bytes=1234567-"]


def test_nothing_appears_before_all_of_it_is_checked(hub: Hub, clipseg: Component) -> None:
    (hub.root / REPOSITORY / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(
        WeightsDamaged, match=r"model\.safetensors.*is cut off at 14 of .*pull again"
    ):
        pull(clipseg)
    assert install.state_of(clipseg) == "absent"
    shutil.copy(BUNDLED / "clipseg" / "model.safetensors", hub.root / REPOSITORY)
    pull(clipseg)
    install.verify(clipseg)


def test_a_wrong_hash_is_one_sentence(hub: Hub, clipseg: Component) -> None:
    path = hub.root / REPOSITORY / "model.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(
        WeightsDamaged, match=r"has SHA-256 .*, not the published .*; it was removed"
    ):
        pull(clipseg)


def test_a_gated_model_says_what_to_do(hub: Hub, clipseg: Component) -> None:
    hub.gated.add(REPOSITORY)
    with pytest.raises(WeightsMissing, match=r"is gated .* accept its terms .* HF_TOKEN"):
        pull(clipseg)


def test_a_missing_file_and_a_missing_repository(hub: Hub, clipseg: Component) -> None:
    (hub.root / REPOSITORY / "model.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=r"has no model\.safetensors at main"):
        pull(clipseg)
    shutil.rmtree(hub.root / REPOSITORY)
    with pytest.raises(WeightsMissing, match=f"the hub has no {REPOSITORY}"):
        pull(clipseg)


def test_no_network_names_the_other_ways(
    clipseg: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsMissing, match=r"could not be fetched from .*--from FOLDER"):
        pull(clipseg)


def test_files_from_a_folder_need_no_network(hub: Hub, clipseg: Component, tmp_path: Path) -> None:
    pull(clipseg, source=BUNDLED / "clipseg")
    install.verify(clipseg)
    assert hub.requests == []
    install.remove(clipseg)
    with pytest.raises(WeightsMissing, match=r"is not in .*empty; put it there"):
        (tmp_path / "empty").mkdir()
        pull(clipseg, source=tmp_path / "empty")


def test_verify_finds_what_changed_and_what_is_gone(clipseg: Component) -> None:
    with pytest.raises(WeightsMissing, match="zeropan models pull clipseg_rd64"):
        install.verify(clipseg)
    pull(clipseg)
    weights = install.folder_of(clipseg) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsDamaged, match="is not the file that was pulled"):
        install.verify(clipseg)
    weights.unlink()
    with pytest.raises(WeightsMissing, match="is gone; remove the model"):
        install.verify(clipseg)
    assert install.remove(clipseg) > 0
    pull(clipseg)
    install.verify(clipseg)


def test_a_folder_of_something_else_is_left_alone(clipseg: Component) -> None:
    folder = install.folder_of(clipseg)
    folder.mkdir(parents=True)
    (folder / "holiday.txt").write_text("mine")
    for act in (pull, install.verify, install.remove):
        with pytest.raises(BadConfig, match="was not made by `zeropan models pull`"):
            act(clipseg)
    assert (folder / "holiday.txt").read_text() == "mine"


def test_a_file_in_the_folders_place_is_one_sentence(
    clipseg: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("ZEROPAN_MODELS", str(tmp_path / "taken"))
    with pytest.raises(BadConfig, match="cannot hold models"):
        pull(clipseg)


def test_a_run_without_weights_names_files_sizes_and_three_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROPAN_MODELS", str(tmp_path))
    with pytest.raises(WeightsMissing) as error:
        find_preset("base+sam_vit_l")
    sentence = str(error.value)
    assert "sam_vit_l_0b3195.pth (1.25 GB)" in sentence
    assert "groundingdino_swint_ogc.pth (694 MB)" in sentence
    assert "zeropan models pull base+sam_vit_l`" in sentence
    assert "--from FOLDER" in sentence and "ZEROPAN_MODELS" in sentence


def test_a_preset_takes_other_components_in_their_roles() -> None:
    preset = find_preset("base+sam2_1_tiny+mm_grounding_dino_tiny", need_weights=False)
    assert [component.name for component in preset.components] == [
        "mm_grounding_dino_tiny",
        "sam2_1_tiny",
        "clipseg_rd64",
    ]
    with pytest.raises(BadConfig, match=r"model 'sam_vit_x' is not known.*nearest is 'sam_vit"):
        find_preset("base+sam_vit_x")


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


@pytest.mark.parametrize("fault", ["code", "truncated", "text", "no weights"])
def test_a_pickle_is_never_executed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    path = tmp_path / "net.pth"
    if fault == "code":
        torch.save({"model": Payload()}, path)
    elif fault == "truncated":
        torch.save({"model": {"a": torch.zeros(1000)}}, path)
        path.write_bytes(path.read_bytes()[:500])
    elif fault == "text":
        path.write_text("not a checkpoint")
    else:
        path.write_bytes(pickle.dumps(["a", "list"], protocol=2))
    with pytest.raises(WeightsDamaged, match=r"net\.pth (is not a file of plain|does not hold)"):
        tensors_of(path)
    assert "executed" not in capsys.readouterr().out


def test_unknown_keys_and_shapes_are_listed_and_the_known_ones_dropped(tmp_path: Path) -> None:
    component = COMPONENTS["sam_vit_b"]
    with torch.device("meta"):
        from zeropan.models.sam.network import build_published_sam

        state = build_published_sam("vit_b").state_dict()
    wrong = {f"module.{key}": torch.zeros(value.shape) for key, value in state.items()}
    del wrong["module.mask_decoder.iou_token.weight"]
    wrong["module.extra"] = torch.zeros(1)
    wrong["module.image_encoder.pos_embed"] = torch.zeros(1, 32, 32, 768)
    torch.save({"model": wrong}, tmp_path / "sam.pth")
    with pytest.raises(WeightsDamaged) as error:
        convert.convert(tmp_path / "sam.pth", component, tmp_path)
    said = str(error.value)
    assert "extra is unknown" in said and "mask_decoder.iou_token.weight is missing" in said
    assert "image_encoder.pos_embed is (1, 32, 32, 768), not (1, 64, 64, 768)" in said
    assert not (tmp_path / "model.safetensors").exists()


def test_the_command_pulls_verifies_shows_and_removes(hub: Hub, clipseg: Component) -> None:
    runner = CliRunner()

    def run(*arguments: str) -> str:
        found = runner.invoke(cli_models.app, arguments)
        if isinstance(found.exception, ZeropanError):
            raise found.exception
        assert found.exit_code == 0, found.output
        return found.output

    assert "disputed" not in run("where", "clipseg_rd64")
    assert "clipseg_rd64 is in" in run("pull", "clipseg_rd64")
    assert "every file is as it should be" in run("verify", "clipseg_rd64")
    models = {model["name"]: model for model in json.loads(run("list", "--json"))["models"]}
    assert models["clipseg_rd64"]["state"] == "installed"
    assert models["sam_vit_h"]["files"][0]["sha256"].startswith("a7bf3b02f3eb")
    assert models["sam_vit_h"]["files"][0]["bytes"] == 2564550879
    listed = run("list")
    assert "disputed" in listed and "sam_vit_h_4b8939.pth" in listed
    assert "removed" in run("rm", "clipseg_rd64")
    assert not install.folder_of(clipseg).exists()
    with pytest.raises(BadConfig, match="neither a preset nor a model"):
        run("pull", "sam_vit_z")
    with pytest.raises(BadConfig, match="ships with zeropan"):
        run("pull", "tiny")
