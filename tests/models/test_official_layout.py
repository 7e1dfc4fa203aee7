"""The published files' layout at full size with random values: pulled, verified, converted, run.

A hub on this machine serves files that have the keys, shapes and types of the published ones. Their
sizes on disk are those of the published files to 0.1%.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation
from typer.testing import CliRunner

from tests.commands import STUFF, THINGS, segment
from tests.hub_server import Hub, serve
from zeropan.command import models as cli_models
from zeropan.models.grounding_dino.build import CaptionTokenizer, build_grounding_dino
from zeropan.models.presets import BUNDLED, PRESETS
from zeropan.models.published.architectures import grounding_dino_config
from zeropan.models.published.components import COMPONENTS, Component, RemoteFile
from zeropan.models.published.download import sha256_of
from zeropan.models.published.install import folder_of, read_manifest
from zeropan.models.sam.network import build_published_sam
from zeropan.scenes.render import render_scene
from zeropan.segmentation.config import PipelineConfig, ThingsConfig
from zeropan.storage.keys import ArtifactKey
from zeropan.storage.store import ArtifactStore

BASE = ("grounding_dino_swin_t", "sam_vit_b", "clipseg_rd64")


def write_vocabulary(path: Path) -> None:
    """BERT's vocabulary in its published size and places of the special tokens."""
    known = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 1012: ".", 1029: "?"}
    words = sorted({word for name in THINGS for word in name.split()})
    known |= {2000 + number: word for number, word in enumerate(words)}
    rows = [known.get(row, f"[unused{row}]") for row in range(30522)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_files(folder: Path) -> None:
    """What is published, with random values."""
    torch.manual_seed(0)
    write_vocabulary(folder / "vocab.txt")
    config = grounding_dino_config("swin_t")
    model = build_grounding_dino(config, CaptionTokenizer(folder / "vocab.txt"))
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    state["module.label_enc.weight"] = torch.zeros(2001, 256)
    state["module.bert.embeddings.position_ids"] = torch.arange(512)[None]
    torch.save({"model": state}, folder / "groundingdino_swint_ogc.pth")
    sam = build_published_sam("vit_b")
    torch.save(sam.state_dict(), folder / "sam_vit_b_01ec64.pth")
    clipseg = CLIPSegForImageSegmentation(
        CLIPSegConfig(
            reduce_dim=64, use_complex_transposed_convolution=True, vision_config={"patch_size": 16}
        )
    )
    weights = {key: value.contiguous() for key, value in clipseg.state_dict().items()}
    for tower, count in (("text", 77), ("vision", 197)):
        weights[f"clip.{tower}_model.embeddings.position_ids"] = torch.arange(count)[None]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(clipseg.config.to_dict()))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"do_resize": True, "size": {"height": 352, "width": 352}})
    )
    tokenizer = json.loads((BUNDLED / "clipseg" / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(tokenizer["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in tokenizer["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (folder / "special_tokens_map.json").write_text("{}")
    shutil.copy(BUNDLED / "clipseg" / "tokenizer_config.json", folder)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Path]]:
    """A hub that serves them, and the folder of models; the table knows their hashes."""
    root = tmp_path_factory.mktemp("published")
    files = root / "files"
    files.mkdir()
    write_files(files)
    with serve(root / "hub") as hub, pytest.MonkeyPatch.context() as patch:
        for name in BASE:
            component = COMPONENTS[name]
            served = [_serve(file, files, hub) for file in component.files]
            patch.setitem(COMPONENTS, name, replace(component, files=tuple(served)))
        components: tuple[Component, ...] = tuple(COMPONENTS[name] for name in BASE)
        patch.setitem(PRESETS, "base", replace(PRESETS["base"], components=components))
        patch.setenv("ZEROPAN_MODELS", str(root / "models"))
        patch.setenv("HF_ENDPOINT", hub.address)
        yield hub, root / "models"
    shutil.rmtree(root, ignore_errors=True)


def _serve(file: RemoteFile, files: Path, hub: Hub) -> RemoteFile:
    path = f"{file.repository or 'plain'}/{file.name}"
    (hub.root / path).parent.mkdir(parents=True, exist_ok=True)
    if not (hub.root / path).exists():
        (hub.root / path).hardlink_to(files / file.name)
    size = (files / file.name).stat().st_size
    if file.bytes is not None and file.bytes > 10**6:
        assert abs(size / file.bytes - 1) < 1e-3, f"{file.name} has {size}, not {file.bytes}"
    url = f"{hub.address}/{path}" if file.url else None
    return replace(file, url=url, bytes=size, sha256=sha256_of(files / file.name))


@pytest.mark.timeout(1500)
@pytest.mark.heavy
def test_the_base_preset_from_a_hub_to_a_label_map(
    published: tuple[Hub, Path], tmp_path: Path
) -> None:
    hub, models = published
    runner = CliRunner()
    for command in ("pull", "verify"):
        answer = runner.invoke(cli_models.app, [command, "base"], catch_exceptions=False)
        assert answer.exit_code == 0
    for name in BASE[:2]:
        folder = folder_of(COMPONENTS[name])
        assert folder.parent == models
        held = {path.name for path in folder.iterdir()}
        assert {"config.json", "model.safetensors", "origin"} <= held
        assert any(path.endswith(".pth") for path in read_manifest(folder).files)
    asked = len(hub.requests)

    image = tmp_path / "photograph.jpg"
    Image.fromarray(render_scene(7, height=768, width=1024).image).save(image)
    report = segment(
        images=[str(image)],
        words={"things": THINGS[:4], "stuff": STUFF},
        # Random models are sure of nothing: every box counts, so that every step has work.
        config=PipelineConfig(
            things=ThingsConfig(box_threshold=0, text_threshold=0, max_boxes=4, nms_iou=1)
        ),
        preset="base",
        home=str(tmp_path / "home"),
    )
    assert len(hub.requests) == asked, "a run touches no network"
    (found,) = report["images"]
    assert [stage["how"] for stage in found["stages"]] == ["computed"] * 7
    boxes = next(stage for stage in found["stages"] if stage["stage"] == "things")
    assert boxes["result"]["instances"] >= 1
    with Image.open(found["panoptic_png"]) as panoptic:
        assert panoptic.size == (1024, 768)
    store = ArtifactStore(report["store"])
    embedded = next(stage for stage in found["stages"] if stage["stage"] == "embed_image")
    marker = store.provenance(ArtifactKey(stage="embed_image", digest=embedded["digest"]))
    assert marker["precision"] in ("fp32", "bf16") and marker["device"] in ("cpu", "cuda", "mps")
