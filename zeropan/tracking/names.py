"""Legal MLflow names for any word a user can type: stable, injective and readable.

MLflow refuses metric and parameter names with commas, brackets, quotes and most signs, names that
a path would normalise ("a//b", ".."), and names of more than 250 characters. Image keys must be
ASCII. A character that is not legal becomes `_x<hex>_`, its code point in hexadecimal; a literal
"_" before an "x" is escaped in the same way, so that two words never get the same name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

MAX_KEY_LENGTH = 250
"""Most characters of a metric's, parameter's or tag's name."""
MAX_PARAMETER_LENGTH = 6000
"""Most characters of a parameter's value."""
MAX_TAG_LENGTH = 8000
"""Most characters of a tag's value or a run's description."""
MAX_EXPERIMENT_TAG_LENGTH = 20_000
"""Most characters of an experiment tag's value."""

_IN_NAME = re.compile(r"[\w.\- ]")
_IN_KEY = re.compile(r"[/\w.\- ]+")
_IN_ASCII_NAME = re.compile(r"[A-Za-z0-9_.\- ]")


def component(word: str) -> str:
    """One part of a metric's or parameter's name; slashes in `word` are escaped too.

    Letters and digits of any script stay as they are.
    """
    return _edges(_escape(word, lambda sign: _IN_NAME.fullmatch(sign) is not None))


def name(*words: str) -> str:
    """The name of a metric or parameter: escaped parts, joined by slashes, at most 250 characters.

    `name("count", "egg, fried")` is "count/egg_x2c_ fried"; the part before the last slash is the
    section under which MLflow's charts show it.
    """
    return shortened("/".join(component(word) for word in words), MAX_KEY_LENGTH)


def legal_key(key: str) -> str:
    """A metric's, parameter's or tag's key as it is if MLflow takes it, else escaped like `name`.

    Keys that come out of `name` stay as they are.
    """
    parts = key.split("/")
    takes = _IN_KEY.fullmatch(key) and all(part.strip(".") for part in parts)
    return key if takes and len(key) <= MAX_KEY_LENGTH else name(*parts)


def image_key(key: str) -> str:
    """An ASCII image key; slashes stay. At most 120 characters, for it becomes a file name."""
    parts = [_ascii(part) for part in key.split("/")]
    return shortened("/".join(parts), 120)


def file_name(word: str) -> str:
    """One part of an artifact's path: ASCII, and safe in a URL and on any file system."""
    return shortened(_ascii(word), 120)


def shortened(text: str, limit: int) -> str:
    """`text` if it has at most `limit` characters, else its start and a digest of the whole.

    The mark "_x_" cannot come out of the escaping, so a shortened name equals no other name.
    """
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    mark = f"_x_{digest}"
    return text[: limit - len(mark)] + mark


def cut(text: str, limit: int) -> str:
    """`text` cut to `limit` characters, with a mark that something is missing."""
    return text if len(text) <= limit else text[: limit - 2].rstrip() + " …"


def _ascii(word: str) -> str:
    return _edges(_escape(word, lambda sign: _IN_ASCII_NAME.fullmatch(sign) is not None))


def _escape(word: str, legal: Callable[[str], bool]) -> str:
    signs = []
    for place, sign in enumerate(word):
        ambiguous = word.startswith("_x", place)
        signs.append(sign if legal(sign) and not ambiguous else _code(sign))
    return "".join(signs)


def _edges(word: str) -> str:
    """Escape what a path or a table would swallow: outer blanks, ".", "..", and nothing at all."""
    if not word:
        return "_x_empty"
    if word.strip(".") == "":
        return "".join(_code(sign) for sign in word)
    if word[0] == " ":
        word = _code(" ") + word[1:]
    if word[-1] == " ":
        word = word[:-1] + _code(" ")
    return word


def _code(sign: str) -> str:
    return f"_x{ord(sign):x}_"
