"""Is a status patch exactly the difference?"""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cluster.patching import merge_patch

SCALARS = st.integers(0, 3) | st.text("ab", max_size=2)
STATUSES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), SCALARS | st.lists(SCALARS, max_size=2), max_size=4),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), SCALARS | inner, max_size=4),
    max_leaves=8,
)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, word by word."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(STATUSES, STATUSES)
def test_the_patch_makes_one_status_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, merge_patch(before, after)) == after


@given(STATUSES)
def test_equal_statuses_have_no_patch(status: dict[str, Any]) -> None:
    assert merge_patch(status, status) == {}


@given(STATUSES, STATUSES)
def test_what_is_equal_is_not_sent(before: dict[str, Any], after: dict[str, Any]) -> None:
    patch = merge_patch(before, after)
    assert not {key for key in before.keys() & after.keys() if before[key] == after[key]} & patch.keys()


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}),
        ({}, {"a": {}}, {"a": {}}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3]}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({}, {"a": None}, {}),
    ],
)
def test_the_difference_is_as_small_as_it_can_be(
    before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any]
) -> None:
    assert merge_patch(before, after) == patch
