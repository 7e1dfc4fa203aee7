from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeropan.errors import StoreError
from zeropan.storage.keys import artifact_key, canonical_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=4))
def test_the_order_of_names_does_not_matter(inputs: dict[str, Any]) -> None:
    turned = dict(reversed(inputs.items()))
    assert artifact_key("s", version=1, inputs=inputs) == artifact_key(
        "s", version=1, inputs=turned
    )


@given(JSON, JSON)
def test_different_values_have_different_texts(first: Any, second: Any) -> None:
    same = canonical_json(first) == canonical_json(second)
    if same:
        # 1 and True are equal in Python but not in JSON, so only this direction is a law.
        assert first == second
    elif type(first) is type(second) and not isinstance(first, list | dict | float):
        assert first != second


def test_stage_and_version_are_part_of_the_key() -> None:
    keys = {artifact_key(stage, version=version, inputs={}) for stage in "ab" for version in (1, 2)}
    assert len(keys) == 4


def test_a_key_never_changes_between_releases() -> None:
    key = artifact_key("things", version=1, inputs={"é": [1, 0.5, None, True], "a": {"b": "c"}})
    assert str(key) == "things/00f164553d41220da55501ef3914854f"


def test_zero_has_one_form_and_tuples_are_lists() -> None:
    assert canonical_json({"a": -0.0, "b": (1, 2)}) == canonical_json({"a": 0.0, "b": [1, 2]})


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, {1, 2}, object(), "\ud800"])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(StoreError):
        artifact_key("s", version=1, inputs={"value": value})
