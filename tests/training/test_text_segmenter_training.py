"""The text segmenter's training examples, tokenizer and export."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.scene_cache import load_or_render
from training.text_segmenter.data import UNKNOWN_WORDS, SceneSource, build_batch
from training.text_segmenter.export import export
from training.text_segmenter.losses import stuff_ious
from training.text_segmenter.model import build_config, build_model, build_tokenizer
from zeropan.models.clipseg.adapter import ClipSegSegmenter
from zeropan.scenes.vocabulary import COLOURS, STUFF, THINGS, category_id

TOKENIZER = build_tokenizer()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    load_or_render(folder, seed_start=5_000_000, count=4, size=64, workers=1)
    return folder


def test_known_words_are_few_tokens_and_unknown_words_are_none_of_them() -> None:
    known = {part for name in (*THINGS, *STUFF, *COLOURS) for part in name.split()}
    # Merges of one word may split another, as "ma" of "maki" does "tomato".
    counts = [len(TOKENIZER.tokenize(word)) for word in known]
    assert max(counts) <= 4
    assert sum(counts) < 1.5 * len(counts)
    assert known.isdisjoint(UNKNOWN_WORDS)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=20))
def test_any_text_has_tokens_and_only_the_ends_are_special(text: str) -> None:
    ids = TOKENIZER(text)["input_ids"]
    inner = ids[1:-1]
    assert (ids[0], ids[-1]) == (TOKENIZER.bos_token_id, TOKENIZER.eos_token_id)
    assert TOKENIZER.eos_token_id not in inner
    assert bool(inner) == bool("".join(text.split()))


def test_a_cache_that_is_being_rendered_gives_the_shards_before_the_first_gap(
    cache: Path, tmp_path: Path
) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    source = SceneSource(tmp_path)
    assert len(source) == 0
    for index in (0, 2):
        for kind in ("images.npy", "labels.npy", "segments.json"):
            shutil.copy(cache / kind, shards / f"{index:05d}.{kind}")
    assert source.refresh() == 4
    images, labels, _ = source.take(np.array([3, 0]))
    whole = SceneSource(cache).take(np.array([3, 0]))
    assert (images == whole[0]).all()
    assert (labels == whole[1]).all()


def test_targets_follow_the_picture_through_every_distortion(cache: Path) -> None:
    _, labels, segments = SceneSource(cache).take(np.arange(4))
    # The picture is painted with its own categories, so that the batch can be read back from it.
    table = np.zeros((4, 256), dtype=np.uint8)
    for row, scene in zip(table, segments, strict=True):
        for segment in scene:
            row[segment["id"]] = category_id(segment["name"])
    painted = np.take_along_axis(table, labels.reshape(4, -1).astype(np.int64), axis=1)
    painted = np.repeat(painted.reshape(*labels.shape, 1) * 10, 3, axis=3)
    padded = 0
    for seed in range(12):
        batch = build_batch(painted, labels, segments, rng=np.random.default_rng(seed))
        stuff = torch.tensor([category_id(name) for name in STUFF])
        assert (batch.targets[:, :5] == (batch.categories[:, None] == stuff[:, None, None])).all()
        assert (batch.pixels[(batch.categories == 0)[:, None].expand(-1, 3, -1, -1)] == 0).all()
        padded += int((batch.categories == 0).any())
        for picture, plane, row in zip(batch.pixels, batch.categories, batch.rows, strict=True):
            # Resampling blends neighbours, so a shrunk picture agrees but for its edges.
            red, inside = picture[0], plane > 0
            pair = torch.stack((red[inside], plane[inside].float()))
            blended = bool((plane == 0).any())
            assert float(torch.corrcoef(pair)[0, 1]) > (0.85 if blended else 0.9999)
            assert [batch.prompts[i] for i in row[:5]] == list(STUFF)
        extra = batch.prompt_category[batch.rows[:, 5]]
        asked = batch.targets[:, 5] & (batch.categories != extra[:, None, None])
        assert not asked.any()
    assert 0 < padded < 12


def test_perfect_logits_have_an_iou_of_one_and_absent_words_are_not_counted() -> None:
    categories = torch.full((8, 8), category_id("wood"))
    categories[4:] = category_id("slate")
    categories[:, 6:] = category_id("cup")
    stuff = torch.tensor([category_id(name) for name in STUFF])
    logits = torch.where(categories[None] == stuff[:, None, None], 4.0, -4.0)
    assert stuff_ious(logits, categories, threshold=0.3) == ([1.0, 1.0], [1.0, 1.0])
    half = logits.clone()
    half[:, :2] = -4.0
    assert stuff_ious(half, categories, threshold=0.3) == ([0.5, 1.0], [0.5, 1.0])


def test_the_export_is_small_and_scores_as_the_model_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(build_config(TOKENIZER)).eval()
    export(model, TOKENIZER, tmp_path / "clipseg")
    assert (tmp_path / "clipseg" / "model.safetensors").stat().st_size < 3_800_000
    loaded = ClipSegSegmenter.load(tmp_path / "clipseg")
    assert loaded.identity.architecture == "clipseg"
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    direct = ClipSegSegmenter(model, TOKENIZER, loaded.preprocessing, loaded.identity)
    expected = direct.score(image, STUFF).logits
    found = loaded.score(image, STUFF).logits
    # Within what half precision loses.
    assert np.abs(found - expected).max() < 0.05 * expected.std()
