"""The CLIPSeg adapter, on a small model with random weights."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPTokenizer,
    ViTImageProcessor,
)

from zeropan.errors import RecordError, WeightsDamaged, WeightsMissing
from zeropan.models.clipseg.adapter import ClipSegSegmenter, Preprocessing
from zeropan.models.folders import folder_identity
from zeropan.models.presets import BUNDLED
from zeropan.scenes.render import render_scene
from zeropan.scenes.vocabulary import STUFF

SIZE = 48
# A mean of exactly this colour makes padding equal to a painted border.
GREY = 128
WORDS = ("wood", "cloth", "a red cup")


def _small_tokenizer() -> CLIPTokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "wo", "woo", "wood</w>"]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[("w", "o"), ("wo", "o"), ("woo", "d</w>")],
    )


def _config(**changes: object) -> CLIPSegConfig:
    tokenizer = _small_tokenizer()
    shared = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    return CLIPSegConfig(
        text_config={
            **shared,
            "num_hidden_layers": 1,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 12,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={**shared, "num_hidden_layers": 3, "image_size": SIZE, "patch_size": 8},
        projection_dim=16,
        reduce_dim=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
        extract_layers=[0, 2],
        **changes,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "clipseg"
    torch.manual_seed(0)
    model = CLIPSegForImageSegmentation(_config())
    with torch.no_grad():
        # The library's random start answers with logits in the hundreds; words hardly differ.
        model.decoder.transposed_convolution.weight.mul_(0.01)
        model.clip.text_model.embeddings.token_embedding.weight.mul_(50.0)
    model.save_pretrained(directory)
    _small_tokenizer().save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "size": SIZE,
                "do_pad": True,
                "image_mean": [GREY / 255] * 3,
                "image_std": [0.25] * 3,
            }
        )
    )
    return directory


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> ClipSegSegmenter:
    return ClipSegSegmenter.load(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "clipseg"))


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 10_000 + width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((1, 1), (48, 48)),
        ((48, 48), (48, 48)),
        ((30, 4000), (1, 48)),
        ((4000, 30), (48, 1)),
        ((65, 97), (32, 48)),
        ((97, 65), (48, 32)),
    ],
)
def test_any_size_gets_a_grid_of_its_own_shape(
    segmenter: ClipSegSegmenter, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    result = segmenter.score(_picture(*size), WORDS)
    assert result.logits.shape == (3, *grid)
    assert result.image_size == size
    assert result.prompts == WORDS
    assert np.isfinite(result.logits).all()


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_resizing_keeps_the_shape_of_the_picture(height: int, width: int) -> None:
    preprocessing = Preprocessing(size=352, pad=True)
    h, w = preprocessing.input_size(height, width)
    assert max(h, w) == 352
    assert min(h, w) >= 1
    assert preprocessing.input_size(width, height) == (w, h)
    scale = 352 / max(height, width)
    assert min(h, w) == 1 or abs(min(h, w) - scale * min(height, width)) <= 0.5 + 1e-9


@pytest.mark.parametrize("size", [(20, 48), (48, 20), (13, 31), (100, 61)])
def test_preprocessing_commutes_with_transposition(size: tuple[int, int]) -> None:
    preprocessing = Preprocessing(size=SIZE, pad=True)
    image = _picture(*size)
    turned = preprocessing(image.transpose(1, 0, 2)).transpose(2, 3)
    # One step of 8 bits: the resampling rounds between its two passes.
    assert float((turned - preprocessing(image)).abs().max()) < 1.01 / 255 / 0.224


@pytest.mark.parametrize("size", [(480, 640), (352, 352), (1000, 700), (20, 30)])
def test_without_padding_preprocessing_is_that_of_the_published_processor(
    size: tuple[int, int],
) -> None:
    processor = ViTImageProcessor(
        size={"height": 352, "width": 352},
        image_mean=list(Preprocessing.mean),
        image_std=list(Preprocessing.std),
        resample=2,
    )
    theirs = processor(
        images=[_picture(*size)], return_tensors="pt", input_data_format="channels_last"
    )["pixel_values"]
    # Theirs divides by 255 and by the deviation in one step: the last bit may differ.
    torch.testing.assert_close(Preprocessing(size=352)(_picture(*size)), theirs, atol=5e-7, rtol=0)


def test_a_stretched_picture_has_the_models_own_grid(copy: Path) -> None:
    (copy / "preprocessor_config.json").write_text(json.dumps({"size": SIZE}))
    result = ClipSegSegmenter.load(copy).score(_picture(30, 90), WORDS)
    assert result.logits.shape == (3, SIZE, SIZE) and result.image_size == (30, 90)


def test_padding_is_below_and_on_the_right_and_has_the_mean_colour() -> None:
    white = np.full((10, 20, 3), 255, dtype=np.uint8)
    pixels = Preprocessing(size=SIZE, pad=True)(white)
    assert (pixels[..., :24, :] > 1).all()
    assert (pixels[..., 24:, :] == 0).all()


@pytest.mark.parametrize("size", [(20, 48), (48, 20), (48, 48)])
def test_the_grid_is_the_picture_without_its_padding(
    segmenter: ClipSegSegmenter, size: tuple[int, int]
) -> None:
    image = _picture(*size)
    square = np.full((SIZE, SIZE, 3), GREY, dtype=np.uint8)
    square[: size[0], : size[1]] = image
    whole = segmenter.score(square, WORDS).logits
    own = segmenter.score(image, WORDS).logits
    assert own.std() > 0
    np.testing.assert_allclose(own, whole[:, : size[0], : size[1]], rtol=1e-4, atol=1e-4)


def test_logits_are_those_of_the_librarys_own_forward_pass(segmenter: ClipSegSegmenter) -> None:
    image = _picture(SIZE, SIZE)
    pixels = (torch.from_numpy(image).permute(2, 0, 1).float() - GREY) / 255 / 0.25
    tokens = segmenter.tokenizer(list(WORDS), padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = segmenter.model(
            pixel_values=pixels.expand(3, -1, -1, -1),
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
        ).logits.numpy()
    np.testing.assert_allclose(segmenter.score(image, WORDS).logits, expected, rtol=1e-3, atol=1e-4)


def test_the_vision_tower_runs_once_for_all_prompts(segmenter: ClipSegSegmenter) -> None:
    batches: list[int] = []
    hook = segmenter.model.clip.vision_model.embeddings.register_forward_hook(
        lambda _module, _inputs, output: batches.append(len(output))
    )
    words = [f"{a}{b}" for a in "abcd" for b in "efghi"]
    many = segmenter.score(_picture(40, 30), words).logits
    assert batches == [1]
    assert segmenter.score(_picture(40, 30), []).logits.shape == (0, 48, 36)
    assert batches == [1]
    hook.remove()
    one_by_one = [segmenter.score(_picture(40, 30), [word]).logits[0] for word in words]
    assert np.ptp(many, axis=0).max() > 1e-3
    np.testing.assert_allclose(many, np.stack(one_by_one), rtol=1e-3, atol=1e-4)


def test_any_text_is_a_prompt(segmenter: ClipSegSegmenter) -> None:
    result = segmenter.score(_picture(20, 20), ["", "Ωμέγα 寿司", "word " * 100])
    assert np.isfinite(result.logits).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((0, 4, 3), dtype=np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_refused(segmenter: ClipSegSegmenter, image: np.ndarray) -> None:
    with pytest.raises(RecordError, match=r"image: expected \(H, W, 3\) uint8"):
        segmenter.score(image, WORDS)


def test_loading_asks_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    ClipSegSegmenter.load(folder)


def test_identity_is_that_of_every_byte_of_the_folder(
    segmenter: ClipSegSegmenter, copy: Path
) -> None:
    assert segmenter.identity == folder_identity(copy)
    settings = copy / "preprocessor_config.json"
    settings.write_text(settings.read_text() + "\n")
    assert ClipSegSegmenter.load(copy).identity != segmenter.identity


def test_every_misfit_of_the_weights_is_named(copy: Path) -> None:
    path = copy / "model.safetensors"
    weights = load_file(path)
    weights["clip.extra"] = torch.zeros(1)
    del weights["decoder.film_mul.bias"]
    weights["decoder.film_add.bias"] = torch.zeros(3)
    save_file(weights, path)
    with pytest.raises(WeightsDamaged) as caught:
        ClipSegSegmenter.load(copy)
    message = str(caught.value)
    for key in ("clip.extra", "decoder.film_mul.bias", "decoder.film_add.bias"):
        assert key in message


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_absent_file_is_missing(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(WeightsMissing, match=r"is not there|has neither"):
        ClipSegSegmenter.load(copy)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("config.json", "{", "not JSON"),
        ("config.json", '{"model_type": "sam"}', "'sam' model"),
        ("config.json", '{"model_type": "clipseg", "reduce_dim": "wide"}', "no configuration"),
        ("preprocessor_config.json", "{", "not JSON"),
        ("preprocessor_config.json", "[]", "does not give one size"),
        ("preprocessor_config.json", '{"size": {"height": 8, "width": 16}}', "one size"),
        ("preprocessor_config.json", '{"size": 50}', "not a multiple"),
        ("tokenizer.json", "{", "cannot be read"),
        ("model.safetensors", "weights", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(copy: Path, name: str, text: str, says: str) -> None:
    (copy / name).write_text(text)
    with pytest.raises(WeightsDamaged, match=says):
        ClipSegSegmenter.load(copy)


def test_a_tokenizer_of_another_model_is_refused(copy: Path) -> None:
    tokenizer = _small_tokenizer()
    tokenizer.add_tokens(["another"])
    tokenizer.save_pretrained(copy)
    with pytest.raises(WeightsDamaged, match="tokens, the model"):
        ClipSegSegmenter.load(copy)


def test_a_folder_as_older_versions_wrote_it_loads(segmenter: ClipSegSegmenter, copy: Path) -> None:
    """Half precision, stored position ids, a vocabulary in two files, a size of two numbers."""
    path = copy / "model.safetensors"
    weights = {name: value.half() for name, value in load_file(path).items()}
    for tower in ("text", "vision"):
        key = f"clip.{tower}_model.embeddings.position"
        count = len(weights[f"{key}_embedding.weight"])
        weights[f"{key}_ids"] = torch.arange(count)[None]
    save_file(weights, path)
    tokenizer = json.loads((copy / "tokenizer.json").read_text())["model"]
    (copy / "tokenizer.json").unlink()
    (copy / "vocab.json").write_text(json.dumps(tokenizer["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in tokenizer["merges"])
    (copy / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (copy / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "size": {"height": SIZE, "width": SIZE},
                "do_pad": True,
                "image_mean": [GREY / 255] * 3,
                "image_std": [0.25] * 3,
            }
        )
    )
    older = ClipSegSegmenter.load(copy)
    assert all(value.dtype == torch.float32 for value in older.model.parameters())
    image = _picture(33, 48)
    expected = segmenter.score(image, WORDS).logits
    np.testing.assert_allclose(
        older.score(image, WORDS).logits, expected, rtol=0.05, atol=0.05 * float(expected.std())
    )


def test_the_model_may_see_more_pixels_than_it_has_positions(copy: Path) -> None:
    (copy / "preprocessor_config.json").write_text('{"size": 64, "do_pad": true}')
    result = ClipSegSegmenter.load(copy).score(_picture(32, 64), WORDS)
    assert result.logits.shape == (3, 32, 64)


def test_a_words_answer_does_not_depend_on_its_companions() -> None:
    image = render_scene(3).image
    whole = ClipSegSegmenter.load(BUNDLED / "clipseg").score(image, STUFF)
    for number, word in enumerate(STUFF):
        alone = ClipSegSegmenter.load(BUNDLED / "clipseg").score(image, [word])
        np.testing.assert_array_equal(alone.logits[0], whole.logits[number])
    turned = ClipSegSegmenter.load(BUNDLED / "clipseg").score(image, STUFF[::-1])
    np.testing.assert_array_equal(turned.logits[::-1], whole.logits)


def test_a_words_embedding_is_computed_once_and_only_so_many_are_kept(
    segmenter: ClipSegSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeropan.models.clipseg.adapter.EMBEDDINGS_KEPT", 2)
    asked: list[str] = []
    tokens = segmenter._tokens

    def counted(prompt: str) -> dict[str, torch.Tensor]:
        asked.append(prompt)
        return tokens(prompt)

    monkeypatch.setattr(segmenter, "_tokens", counted)
    segmenter._embeddings.clear()
    for words in (["wood"], ["wood", "cloth"], ["cloth", "wood"], ["cup"], ["cloth"]):
        segmenter.score(_picture(20, 30), words)
    assert asked == ["wood", "cloth", "cup", "cloth"]
    assert list(segmenter._embeddings) == ["cup", "cloth"]
