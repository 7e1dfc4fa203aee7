"""The closed vocabulary of the rendered scenes: names, colours and the pairs kept unseen."""

from __future__ import annotations

from typing import Final

THINGS: Final[tuple[str, ...]] = (
    "nigiri",
    "maki",
    "cup",
    "plate",
    "bowl",
    "box",
    "egg",
    "lemon",
    "tomato",
    "cookie",
    "spoon",
    "chopsticks",
)
STUFF: Final[tuple[str, ...]] = ("wood", "cloth", "marble", "slate", "bamboo mat")

# Linear-looking sRGB in [0, 1]; kept apart in hue so that a small net can tell them.
COLOURS: Final[dict[str, tuple[float, float, float]]] = {
    "red": (0.80, 0.11, 0.11),
    "orange": (0.95, 0.47, 0.07),
    "yellow": (0.96, 0.81, 0.16),
    "green": (0.17, 0.56, 0.25),
    "blue": (0.14, 0.34, 0.76),
    "purple": (0.50, 0.22, 0.66),
    "white": (0.93, 0.92, 0.90),
    "black": (0.12, 0.12, 0.14),
}
COLOURED_THINGS: Final[tuple[str, ...]] = ("cup", "plate", "bowl", "box", "spoon")

# Every colour and every object below is trained in other pairs: only the combination is new.
HELD_OUT_PAIRS: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        ("blue", "cup"),
        ("green", "plate"),
        ("orange", "plate"),
        ("red", "bowl"),
        ("purple", "box"),
        ("yellow", "spoon"),
    }
)


def category_id(name: str) -> int:
    """Number of a category: things are 1..12, stuff 13..17, in the order of the tuples above."""
    if name in THINGS:
        return 1 + THINGS.index(name)
    if name in STUFF:
        return 1 + len(THINGS) + STUFF.index(name)
    raise ValueError(f"unknown category {name!r}")


def allowed_colours(name: str, pairs: str) -> tuple[str, ...]:
    """Colours a coloured thing may have under ``pairs`` ("all", "train" or "held_out")."""
    if pairs == "all":
        return tuple(COLOURS)
    if pairs not in ("train", "held_out"):
        raise ValueError(f"pairs must be 'all', 'train' or 'held_out', not {pairs!r}")
    held = pairs == "held_out"
    return tuple(c for c in COLOURS if ((c, name) in HELD_OUT_PAIRS) == held)
