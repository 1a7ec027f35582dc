"""What does a provisioning request want?"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.provisioning.refusals import Refused
from controller.provisioning.wanted import MAX_NAMES, echoed, read_wanted
from tests.support.provisioning import SIRET


def wanted(**body: Any) -> Any:
    found = read_wanted({"domains": ["x.fr"]} | body)
    assert found is not None
    return found


def texts(document: object) -> Any:
    with pytest.raises(Refused) as refused:
        read_wanted(document)
    assert refused.value.status == 400
    return refused.value._detail


@pytest.mark.parametrize(
    ("domains", "names"),
    [
        (["a.fr", "b.fr"], ["a.fr", "b.fr"]),
        ("a.fr,b.fr", ["a.fr", "b.fr"]),
        (" a.fr ,, b.fr,", ["a.fr", "b.fr"]),
        ("a.fr", ["a.fr"]),
        (["a.fr", None, 3], ["a.fr", None, 3]),
    ],
)
def test_names_come_as_a_list_or_as_text_with_commas(domains: object, names: list[object]) -> None:
    assert wanted(domains=domains).domains == names


@pytest.mark.parametrize("domains", [[], "", " , ", None, 3, {"a.fr": 1}, True])
def test_without_a_name_there_is_nothing_to_do(domains: object) -> None:
    assert list(texts({"domains": domains})) == ["domains"]
    assert texts({}) == {"domains": ["This field is required."]}


def test_a_thousand_names_and_no_more() -> None:
    assert len(wanted(domains=["x.fr"] * MAX_NAMES).domains) == 1000
    assert texts({"domains": ["x.fr"] * (MAX_NAMES + 1)}) == {"domains": ["Name at most 1000 domains."]}
    assert texts({"domains": "x.fr," * (MAX_NAMES + 1)}) == {"domains": ["Name at most 1000 domains."]}


@pytest.mark.parametrize("field", ["oidc_autojoin", "identity_sync"])
@pytest.mark.parametrize("value", ["true", 1, 0, "", [], {}])
def test_a_switch_is_true_or_false(field: str, value: object) -> None:
    assert texts({"domains": ["x.fr"], field: value}) == {field: ["Write true or false."]}


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ([], "Write an object."),
        ("siret", "Write an object."),
        ({"a": 1.5}, "Write a text of at most 1024 characters or a whole number."),
        ({"a": True}, "Write a text of at most 1024 characters or a whole number."),
        ({"a": {"b": 1}}, "Write a text of at most 1024 characters or a whole number."),
        ({"a": "x" * 1025}, "Write a text of at most 1024 characters or a whole number."),
        ({"": 1}, "Write a name of 1 to 64 characters."),
        ({f"a{i}": 1 for i in range(33)}, "Write at most 32 attributes."),
        ({"siret": "123"}, "Write custom_attributes.siret as a text of 14 digits."),
        ({"siret": 21590350100017}, "Write custom_attributes.siret as a text of 14 digits."),
    ],
)
def test_attributes_are_texts_and_whole_numbers(attributes: object, text: str) -> None:
    assert texts({"domains": ["x.fr"], "custom_attributes": attributes}) == {"custom_attributes": [text]}


def test_what_is_null_is_absent() -> None:
    found = wanted(custom_attributes={"siret": None, "org": "x"}, oidc_autojoin=None, identity_sync=None)

    assert (found.attributes, found.siret, found.oidc_autojoin, found.identity_sync) == ({"org": "x"}, None, None, None)
    assert wanted(custom_attributes=None).attributes == {}


def test_an_organization_without_a_siret_says_nothing_about_it() -> None:
    assert wanted(custom_attributes={"siret": ""}).attributes == {}
    assert wanted(custom_attributes={"siret": SIRET}).siret == SIRET


@pytest.mark.parametrize(
    "occasion",
    [
        {"event_type": "subscription.deleted"},
        {"is_active": False},
        {"event_type": "subscription.updated", "is_active": False},
    ],
)
def test_a_subscription_that_has_ended_wants_nothing_whatever_else_stands_there(occasion: dict[str, Any]) -> None:
    assert read_wanted({"domains": ["x.fr"]} | occasion) is None
    assert read_wanted({"domains": ""} | occasion) is None


@pytest.mark.parametrize("occasion", [{}, {"event_type": "subscription.updated", "is_active": True}])
def test_any_other_occasion_is_none_of_our_business(occasion: dict[str, Any]) -> None:
    assert wanted(**occasion, timestamp="now", organization_roles=[{"email": "a@x.fr"}]).domains == ["x.fr"]


@pytest.mark.parametrize("value", ["false", 0, "False", ""])
def test_whether_a_subscription_is_active_is_never_guessed(value: object) -> None:
    assert texts({"domains": ["x.fr"], "is_active": value}) == {"is_active": ["Write true or false."]}


@pytest.mark.parametrize("document", [None, [], "x.fr", 1, [["x.fr"]]])
def test_a_body_is_an_object(document: object) -> None:
    assert texts(document) == "Write a JSON object."


SECRET = "s3cret"
JSON = st.recursive(
    st.sampled_from([SECRET, SECRET * 400, None, True, 1.5, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["siret", "a", SECRET * 20]), inner),
    max_leaves=8,
)
FIELDS = ("domains", "custom_attributes", "oidc_autojoin", "identity_sync", "event_type", "is_active")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_a_refusal_repeats_nothing_that_was_sent(document: dict[str, Any]) -> None:
    said = b""
    try:
        read_wanted(document)
    except Refused as refused:
        said = bytes(refused.response.body)
    assert SECRET.encode() not in said


@pytest.mark.parametrize(("sent", "shown"), [("A b", "A b"), (None, "null"), ("x" * 999, "x" * 253), ([1], "[1]")])
def test_a_name_that_is_none_is_shown_as_it_was_sent(sent: object, shown: str) -> None:
    assert echoed(sent) == shown
