from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.detector.model import write_vocabulary
from zeropan.errors import BadCategories
from zeropan.models.grounding_dino.build import CaptionTokenizer
from zeropan.models.grounding_dino.captions import plan_captions

WORDS = st.text("abcdefghijklmnopqrstuvwxyz -é茶?.", min_size=1, max_size=12).filter(
    lambda text: any(sign.isalpha() for sign in text)
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CaptionTokenizer:
    return CaptionTokenizer(write_vocabulary(tmp_path_factory.mktemp("vocabulary")))


def test_a_caption_names_its_prompts(tokenizer: CaptionTokenizer) -> None:
    (one,) = plan_captions(["Cup", "bamboo  mat"], tokenizer.encode, max_tokens=256)
    assert one.caption == "cup . bamboo mat ."
    assert one.token_prompt == (-1, 0, -1, 1, 1, -1, -1)


def test_car_is_not_a_part_of_carpet(tokenizer: CaptionTokenizer) -> None:
    (one,) = plan_captions(["carpet", "car"], tokenizer.encode, max_tokens=256)
    tokens = tokenizer.encode(one.caption).tokens
    assert [t for t, owner in zip(tokens, one.token_prompt, strict=True) if owner == 1] == [
        "c", "##a", "##r",
    ]  # fmt: skip
    assert one.token_prompt.count(0) == 6


@settings(suppress_health_check=list(HealthCheck))
@given(prompts=st.lists(WORDS, max_size=30), limit=st.integers(20, 60))
def test_every_prompt_is_in_one_caption_in_order(
    tokenizer: CaptionTokenizer, prompts: list[str], limit: int
) -> None:
    passes = plan_captions(prompts, tokenizer.encode, max_tokens=limit)
    seen: list[int] = []
    for one in passes:
        encoding = tokenizer.encode(one.caption)
        assert len(one.token_prompt) == len(encoding.ids) <= limit
        owners = [owner for owner in one.token_prompt if owner >= 0]
        assert owners == sorted(owners)
        seen += sorted(set(owners))
    assert seen == list(range(len(prompts)))


def test_a_thousand_prompts_fit_into_several_captions(tokenizer: CaptionTokenizer) -> None:
    passes = plan_captions([f"cup {n}" for n in range(1000)], tokenizer.encode, max_tokens=256)
    assert 1000 * 3 / 256 < len(passes) < 1000 * 6 / 200


def test_no_prompt_is_no_caption(tokenizer: CaptionTokenizer) -> None:
    assert plan_captions([], tokenizer.encode, max_tokens=256) == []


@pytest.mark.parametrize("prompt, reason", [("cup " * 300, "tokens long"), (" . ", "no word")])
def test_an_impossible_prompt_is_one_sentence(
    tokenizer: CaptionTokenizer, prompt: str, reason: str
) -> None:
    with pytest.raises(BadCategories, match=reason):
        plan_captions(["cup", prompt], tokenizer.encode, max_tokens=256)
