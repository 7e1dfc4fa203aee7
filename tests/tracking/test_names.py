import posixpath
import re

from hypothesis import example, given
from hypothesis import strategies as st

from zeropan.segmentation.config import PipelineConfig
from zeropan.tracking.names import MAX_KEY_LENGTH, component, file_name, image_key, legal_key, name
from zeropan.tracking.parameters import flattened

# What MLflow 3.17 accepts on every system (the colon is refused on some).
LEGAL_NAME = re.compile(r"[/\w.\- ]+")
LEGAL_IMAGE_KEY = re.compile(r"[a-zA-Z0-9_\-./ ]+")
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(words)
@example("egg, fried (2)")
@example("..")
@example("")
@example(" ")
@example("a//b")
@example("é")
def test_any_word_becomes_one_legal_part(word: str) -> None:
    part = component(word)
    assert LEGAL_NAME.fullmatch(part)
    assert "/" not in part
    assert part.strip(".") and part == part.strip(" ")
    ascii_part = file_name(word)
    assert ascii_part.isascii() and LEGAL_IMAGE_KEY.fullmatch(ascii_part) and "/" not in ascii_part


@given(words, words)
@example("_x2c_", ",")
@example("_", "_x5f_")
@example("_x", "_x5f_x")
@example("a_(", "a__x28_")
@example("", "_x_empty")
@example(".", "_x2e_")
@example(" a", "_x20_a")
def test_two_words_never_share_a_name(one: str, other: str) -> None:
    assert (component(one) == component(other)) == (one == other)
    assert (file_name(one) == file_name(other)) == (one == other)


@given(st.text("ab,_x", min_size=200, max_size=260), st.text("ab,_x", min_size=200, max_size=260))
def test_long_names_are_shortened_without_collisions(one: str, other: str) -> None:
    assert len(name("count", one)) <= MAX_KEY_LENGTH
    assert (name("count", one) == name("count", other)) == (one == other)


@given(words, words)
@example("a", "..")
def test_names_stay_as_they_are_when_they_are_logged(one: str, other: str) -> None:
    assert legal_key(name(one, other)) == name(one, other)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400))
@example("/")
@example("a//b")
@example("a/../b")
@example(".")
def test_any_key_becomes_one_that_mlflow_takes(key: str) -> None:
    legal = legal_key(key)
    assert LEGAL_NAME.fullmatch(legal) and len(legal) <= MAX_KEY_LENGTH
    # MLflow refuses what would be another path once normalised.
    assert posixpath.normpath(legal) == legal and not legal.startswith(("/", ".."))


def test_plain_words_stay_as_they_are() -> None:
    assert name("count", "coffee cup") == "count/coffee cup"
    assert name("count", "寿司") == "count/寿司"
    assert legal_key("score/things_mean") == "score/things_mean"
    assert image_key("panels/00 input") == "panels/00 input"
    assert file_name("panoptic.png") == "panoptic.png"


def test_image_keys_are_ascii_and_keep_their_levels() -> None:
    key = image_key("compare/寿司 #1")
    assert key.isascii() and key.startswith("compare/") and LEGAL_IMAGE_KEY.fullmatch(key)


def test_settings_become_flat_parameters() -> None:
    flat = flattened(
        {
            "": "x",
            "things": PipelineConfig().things,
            "words": {"things": ("sushi", "cup"), "stuff": [], "pairs": ["a,b", "c"]},
            "weights": None,
        }
    )
    assert flat["things/box_threshold"] == str(PipelineConfig().things.box_threshold)
    assert flat["things/token_score"] == "mean"
    assert flat["words/things"] == "sushi, cup"
    assert flat["words/stuff"] == "none"
    assert flat["words/pairs"] == '["a,b", "c"]'
    assert flat["weights"] == "none"


def test_long_parameters_are_cut_visibly() -> None:
    value = flattened({"words": "sushi " * 2000})["words"]
    assert len(value) <= 6000 and value.endswith("…")
