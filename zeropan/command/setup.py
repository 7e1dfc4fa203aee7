"""From a command line to a Setup: the one place where it is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zeropan.command.options import Given
    from zeropan.request.setup import How, Setup


def setup_of(given: Given, *, with_words: bool = True) -> Setup:
    """The whole setup; what the file and the command line leave out is as usual.

    Args:
        given: what the command line says.
        with_words: words are needed; a data set with truth brings its own.

    Raises:
        BadConfig: an unknown key or name, or a value out of range.
        BadCategories: a word twice, or no word at all.
        WeightsMissing: the preset's files are absent.
    """
    from zeropan.errors import BadCategories
    from zeropan.models.presets import find_preset
    from zeropan.request.setup_file import build_setup
    from zeropan.request.words import split_words

    words = {kind: split_words(text) for kind, text in given.words.items()}
    setup = build_setup(
        file=given.config,
        what={**given.what, "words": words} if words else given.what,
        how=given.how,
        overrides=given.overrides,
    )
    if with_words and not setup.what.categories.ordered:
        raise BadCategories("no words were given; name at least one with --things or --stuff")
    find_preset(setup.what.preset)
    return setup


def how_of(given: Given) -> How:
    """How it is to be done, of a command that changes a recorded run.

    Raises:
        BadConfig: a value is out of range.
    """
    from zeropan.request.parameters import validated
    from zeropan.request.setup import How

    return validated(How, {name: value for name, value in given.how.items() if value is not None})
