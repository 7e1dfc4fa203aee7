"""From prompts to captions, and from caption tokens back to prompts.

Grounding DINO reads one caption, "nigiri . cup . bowl ." Each prompt's tokens are found by the
prompt's character span, so "car" is never mistaken for a part of "carpet", and a score belongs to
the prompt that was asked. Long lists are split into several captions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from zeropan.errors import BadCategories

SEPARATOR = " . "
SPECIAL_TOKENS = ("[CLS]", "[SEP]", ".", "?")
"""Tokens that separate the prompts of a caption; the model's attention stops at them."""


class Encoding(Protocol):
    """The part of a tokenizer's answer that is needed here."""

    @property
    def ids(self) -> list[int]:
        """Token ids, special tokens included."""
        ...

    @property
    def tokens(self) -> list[str]:
        """Token texts."""
        ...

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Character span of each token in the caption; (0, 0) for tokens added by the model."""
        ...


@dataclass(frozen=True)
class CaptionPass:
    """One caption, and which prompt each of its tokens belongs to."""

    caption: str
    token_prompt: tuple[int, ...]
    """For each token: the prompt's index in the whole list, or -1."""


def plan_captions(
    prompts: Sequence[str], encode: Callable[[str], Encoding], *, max_tokens: int
) -> list[CaptionPass]:
    """Split prompts into captions that fit the text encoder, in order.

    Args:
        prompts: words or phrases.
        encode: the tokenizer.
        max_tokens: most tokens of a caption, special tokens included.

    Raises:
        BadCategories: a prompt is too long on its own, or has nothing that can be read.
    """
    lengths = [_own_tokens(prompt, encode, max_tokens) for prompt in prompts]
    passes = []
    first = 0
    while first < len(prompts):
        # [CLS] and [SEP] take two; each prompt takes its tokens and one separator.
        used, last = 2, first
        while last < len(prompts) and used + lengths[last] + 1 <= max_tokens:
            used += lengths[last] + 1
            last += 1
        passes.append(_caption_pass(prompts[first:last], first, encode))
        first = last
    return passes


def normalised(prompt: str) -> str:
    """A prompt as it stands in a caption: lower case, single spaces, no closing full stop."""
    return " ".join(prompt.lower().split()).rstrip(" .")


def _own_tokens(prompt: str, encode: Callable[[str], Encoding], max_tokens: int) -> int:
    answer = encode(normalised(prompt))
    readable = [token for token in answer.tokens if token not in SPECIAL_TOKENS]
    if not readable:
        raise BadCategories(f"the prompt {prompt!r} has no word; write at least one")
    if len(answer.ids) + 1 > max_tokens:
        raise BadCategories(
            f"the prompt {prompt!r} is {len(answer.ids)} tokens long, and the text encoder takes "
            f"{max_tokens - 1}; shorten it"
        )
    return len(answer.ids) - 2


def _caption_pass(
    prompts: Sequence[str], first: int, encode: Callable[[str], Encoding]
) -> CaptionPass:
    spans = []
    caption = ""
    for prompt in prompts:
        text = normalised(prompt)
        spans.append((len(caption), len(caption) + len(text)))
        caption += text + SEPARATOR
    caption = caption.rstrip()
    answer = encode(caption)
    owners = []
    for token, (start, end) in zip(answer.tokens, answer.offsets, strict=True):
        owner = -1
        if token not in SPECIAL_TOKENS and end > start:
            owner = next(
                (first + i for i, (a, b) in enumerate(spans) if a <= start and end <= b), -1
            )
        owners.append(owner)
    return CaptionPass(caption, tuple(owners))
