"""Every body and status of DeployCenter, and everything that is none of them."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from controller.entitlements.answer import MAX_BODY, MAX_DEPTH, MAX_NAME, MAX_NAMES, Received, read_answer, read_names
from controller.entitlements.source import Reply
from controller.planning.facts import AnswerReason as R
from controller.planning.facts import Entitled, Malformed, Partial, Unavailable, Unknown, Verdict
from controller.resources.names import DomainName, canonical_domain

JSON = "application/json"


def received(body: bytes | str, *, status: int = 200, content_type: str = JSON, **headers: Any) -> Reply:
    raw = body.encode() if isinstance(body, str) else body
    return read_answer(Received(status, content_type, raw, **headers))


def answer(**entitlements: Any) -> Reply:
    return received(json.dumps({"organization": None, "entitlements": entitlements}))


def names(*texts: str) -> frozenset[DomainName]:
    return frozenset(DomainName(text) for text in texts)


def listed(items: Any) -> Verdict:
    return answer(can_access=True, can_admin_maildomains=items).verdict


# --- lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "domains"),
    [
        ([], ()),
        (["d1.example", "d2.example"], ("d1.example", "d2.example")),
        (["Mairie-047.EXAMPLE", "élan-047.example"], ("mairie-047.example", "élan-047.example")),
        (["x.example ", " y.example", "X.EXAMPLE", "x.example"], ("x.example", "y.example")),
    ],
)
def test_a_list_of_names_is_entitled_folded_and_stripped(items: list[str], domains: tuple[str, ...]) -> None:
    assert listed(items) == Entitled(names(*(canonical_domain(name) or "" for name in domains)))


@pytest.mark.parametrize(
    ("items", "domains"),
    [
        ([1, None, "x.example"], ("x.example",)),
        (list("a.exmpl,b"), ()),
        ([None], ()),
        ([True, "x.example"], ("x.example",)),
        ([{"a": 1}, ["x.example"], "y.example"], ("y.example",)),
        (["", "  ", "x.example"], ("x.example",)),
        (["not a domain", "-x.example", "x..example", "x.example"], ("x.example",)),
        (["x.example", "a" * (MAX_NAME + 1)], ("x.example",)),
        (["\ud800.example", "x.example"], ("x.example",)),
        (["\u212a.example"], ()),
    ],
)
def test_items_that_are_no_name_make_the_list_partial(items: list[Any], domains: tuple[str, ...]) -> None:
    assert listed(items) == Partial(names(*domains))


@pytest.mark.parametrize("items", ["d1.example", {"d1.example": 1}, 5, 0, 1.5, True, False, ""])
def test_anything_but_a_list_is_malformed(items: Any) -> None:
    assert listed(items) == Malformed(R.WRONG_SHAPE)


def test_can_access_false_does_not_empty_a_list() -> None:
    reply = answer(can_access=False, can_admin_maildomains=["d1.example"])
    assert reply == Reply(Entitled(names("d1.example")), can_access=False)


def test_other_keys_are_ignored() -> None:
    body = {"metrics": {"storage_used": 1}, "operator": [], "entitlements": {"can_admin_maildomains": [], "x": [{}]}}
    assert received(json.dumps(body)).verdict == Entitled(frozenset())


# --- no list ------------------------------------------------------------------------------------------------------


def test_a_missing_key_is_unknown_not_empty() -> None:
    assert answer(can_access=True).verdict == Unknown(R.KEY_ABSENT)


@pytest.mark.parametrize("body", ["{}", '{"entitlements": {}}', '{"entitlements": {"can_admin_maildomains": null}}'])
def test_nothing_said_is_unknown(body: str) -> None:
    assert received(body) == Reply(Unknown(R.KEY_ABSENT))


@pytest.mark.parametrize(
    ("said", "reason", "kept"),
    [
        ("not_activated", R.NOT_ACTIVATED, "not_activated"),
        ("no_organization", R.NO_ORGANIZATION, "no_organization"),
        ("admin@d1.example may not", R.KEY_ABSENT, None),
        (["not_activated"], R.KEY_ABSENT, None),
        (None, R.KEY_ABSENT, None),
    ],
)
def test_a_closed_door_says_why_in_known_words_only(said: Any, reason: R, kept: str | None) -> None:
    reply = answer(can_access=False, can_access_reason=said)
    assert reply == Reply(Unknown(reason), can_access=False, access_reason=kept)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        '["d1.example"]',
        '"text"',
        "null",
        "5",
        '{"entitlements": null}',
        '{"entitlements": []}',
        '{"entitlements": "x"}',
        '{"entitlements": {"can_access": "yes", "can_admin_maildomains": []}}',
        '{"entitlements": {"can_access": 1, "can_admin_maildomains": []}}',
        '{"entitlements": {"can_admin_maildomains": ["d1.example"], "can_admin_maildomains": []}}',
        '{"entitlements": {"can_admin_maildomains": []}, "entitlements": {}}',
    ],
)
def test_another_shape_is_malformed(body: str) -> None:
    assert received(body).verdict == Malformed(R.WRONG_SHAPE)


GOOD = b'{"entitlements": {"can_admin_maildomains": []}}'


@pytest.mark.parametrize(
    "reply",
    [
        received(b""),
        received(b"<!doctype html><h1>Connexion</h1>", content_type="text/html; charset=utf-8"),
        received(b"<!doctype html>"),
        received(GOOD, content_type="text/html"),
        received(GOOD, content_type=""),
        received(GOOD, content_type="application/json; charset=iso-8859-1"),
        received(GOOD, content_encoding="gzip"),
        received(GOOD[:-1]),
        received(GOOD + GOOD),
        received(b"\xef\xbb\xbf" + GOOD),
        received(GOOD.decode().encode("utf-16")),
        received(b'{"entitlements": {"can_admin_maildomains": ["\xe9.example"]}}'),
        received('{"entitlements": {"can_admin_maildomains": []}, "x": NaN}'),
        received('{"entitlements": {"can_admin_maildomains": []}, "x": -Infinity}'),
        received('{"entitlements": {"can_admin_maildomains": []}, "x": ' + "9" * 5000 + "}"),
    ],
)
def test_what_is_not_json_is_malformed(reply: Reply) -> None:
    assert reply == Reply(Malformed(R.NOT_JSON))


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_recognized_by_its_type(content_type: str) -> None:
    assert received(GOOD, content_type=content_type).verdict == Entitled(frozenset())


@pytest.mark.parametrize("status", [200, 201, 203, 206])
def test_every_2xx_is_read(status: int) -> None:
    assert received(GOOD, status=status).verdict == Entitled(frozenset())


# --- limits -------------------------------------------------------------------------------------------------------


def nested(depth: int) -> str:
    return '{"entitlements": {"can_admin_maildomains": []}, "x": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def test_a_body_as_deep_as_allowed_is_read() -> None:
    assert received(nested(MAX_DEPTH)).verdict == Entitled(frozenset())


@pytest.mark.parametrize("body", [nested(MAX_DEPTH + 1), nested(200_000), "[" * 500_000, '{"a":' * 150_000])
def test_a_deeper_body_is_refused_before_it_is_parsed(body: str) -> None:
    assert received(body).verdict == Malformed(R.TOO_DEEP)


def test_brackets_within_texts_are_no_depth() -> None:
    body = json.dumps({"entitlements": {"can_admin_maildomains": []}, "x": '[{\\"' * 1000})
    assert received(body).verdict == Entitled(frozenset())


@pytest.mark.parametrize("body", ['{"x": "' + '\\"[' * 200_000, '"[' * 200_000, "[" * 33 + '"' + "\\" * 600_000])
def test_the_depth_of_hostile_texts_is_told_in_time(body: str) -> None:
    assert isinstance(received(body).verdict, Malformed)


def test_a_body_over_the_limit_is_refused() -> None:
    padding = b" " * (MAX_BODY - len(GOOD))
    assert received(GOOD + padding).verdict == Entitled(frozenset())
    assert received(GOOD + padding + b" ").verdict == Malformed(R.TOO_LARGE)


def test_a_list_over_the_limit_is_refused() -> None:
    assert isinstance(listed([f"d{number}.example" for number in range(MAX_NAMES)]), Entitled)
    assert listed([f"d{number}.example" for number in range(MAX_NAMES + 1)]) == Malformed(R.TOO_LARGE)


# --- statuses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "retry_after", "verdict"),
    [
        (301, None, Unavailable(R.REDIRECT)),
        (302, None, Unavailable(R.REDIRECT)),
        (304, None, Unavailable(R.REDIRECT)),
        (400, None, Unknown(R.REFUSED)),
        (401, None, Unavailable(R.UNAUTHENTICATED)),
        (403, None, Unavailable(R.CLIENT_ERROR)),
        (404, None, Unavailable(R.CLIENT_ERROR)),
        (405, None, Unavailable(R.METHOD_NOT_ALLOWED)),
        (501, None, Unavailable(R.METHOD_NOT_ALLOWED)),
        (406, None, Unavailable(R.CLIENT_ERROR)),
        (431, None, Unavailable(R.CLIENT_ERROR)),
        (429, None, Unavailable(R.THROTTLED)),
        (429, "1", Unavailable(R.THROTTLED)),
        (500, None, Unavailable(R.SERVER_ERROR)),
        (502, None, Unavailable(R.SERVER_ERROR)),
        (503, None, Unavailable(R.SERVER_ERROR)),
        (503, "1", Unavailable(R.THROTTLED)),
        (599, None, Unavailable(R.SERVER_ERROR)),
        (101, None, Unavailable(R.SERVER_ERROR)),
    ],
)
def test_a_status_decides_before_the_body(status: int, retry_after: str | None, verdict: Verdict) -> None:
    assert received(GOOD, status=status, retry_after=retry_after) == Reply(verdict)


# --- laws ---------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["d1.example", "É.fr"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["can_access"]), inner),
    max_leaves=8,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "entitlements": values
        | st.fixed_dictionaries(
            {},
            optional={
                "can_access": st.none() | st.booleans() | values,
                "can_admin_maildomains": st.lists(st.sampled_from(["d1.example", "D2.example", None, 1])) | values,
                "can_access_reason": values,
            },
        )
    },
)


at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no counterexample."""


def cut_or_changed(document: Any, at: int, byte: bytes) -> bytes:
    body = json.dumps(document).encode()
    at %= len(body) + 1
    return body[:at] + byte + (body[at + 1 :] if byte else b"")


@at_leisure
@given(body=st.binary() | st.builds(cut_or_changed, documents, st.integers(0, 400), st.binary(max_size=1)))
@example(body=GOOD)
@example(body=b'{"entitlements": {"can_admin_maildomains": ["d1.example", null]}}')
def test_only_a_body_that_holds_the_list_is_entitled(body: bytes) -> None:
    verdict = received(body).verdict
    if isinstance(verdict, Entitled):
        said = json.loads(body.decode())["entitlements"]["can_admin_maildomains"]
        assert isinstance(said, list)
        assert verdict.domains == {canonical_domain(name) for name in said}
        assert None not in verdict.domains


@at_leisure
@given(document=documents)
def test_a_valid_document_is_read_as_it_says(document: Any) -> None:
    verdict = received(json.dumps(document, allow_nan=True)).verdict
    entitlements = document.get("entitlements")
    said = entitlements.get("can_admin_maildomains") if isinstance(entitlements, dict) else None
    assert isinstance(verdict, Entitled | Partial | Malformed) or not isinstance(said, list)
    assert isinstance(said, list) or not isinstance(verdict, Entitled | Partial)


@at_leisure
@given(status=st.integers(100, 599).filter(lambda status: not 200 <= status < 300), body=st.binary())
def test_no_status_but_2xx_is_ever_a_list(status: int, body: bytes) -> None:
    assert isinstance(received(body, status=status).verdict, Unknown | Unavailable)


LISTED = b'{"entitlements": {"can_admin_maildomains": []}}'


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (Received(300), Unavailable(R.REDIRECT)),
        (Received(200, JSON, LISTED), Entitled(frozenset())),
        (Received(200, JSON, LISTED, content_encoding="Identity"), Entitled(frozenset())),
        (Received(200, JSON, LISTED, content_encoding="gzip"), Malformed(R.NOT_JSON)),
        (Received(200, "application/json; charset=latin-1", LISTED), Malformed(R.NOT_JSON)),
        (Received(200, "text/html", LISTED), Malformed(R.NOT_JSON)),
        (Received(200, JSON, LISTED[:-1]), Malformed(R.NOT_JSON)),
        (Received(200, JSON, LISTED[:-1] + b', "n": NaN}'), Malformed(R.NOT_JSON)),
    ],
)
def test_what_surrounds_a_list_decides_whether_it_is_one(body: Received, verdict: Verdict) -> None:
    assert read_answer(body).verdict == verdict


@pytest.mark.parametrize(("blanks", "verdict"), [(508, Entitled), (509, Partial)])
def test_the_longest_name_is_still_a_name(blanks: int, verdict: type[Verdict]) -> None:
    assert isinstance(read_names([" " * blanks + "x.fr"]), verdict)
