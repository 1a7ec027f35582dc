"""When are two names the same, and does an e-mail stay masked wherever it is printed?"""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from controller.resources.names import Email, canonical_domain, fold, is_canonical

KELVIN = "\u212a"
ADDRESS = "jean.secret@commune.fr"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("commune.fr", "commune.fr"),
        ("COMMUNE.Fr", "commune.fr"),
        ("  commune.fr\n", "commune.fr"),
        ("évreux.fr", "xn--vreux-9ra.fr"),
        ("localhost", "localhost"),
        ("fr", "fr"),
        ("a" * 63 + ".fr", "a" * 63 + ".fr"),
    ],
)
def test_a_name_has_one_canonical_form(text: str, canonical: str) -> None:
    assert canonical_domain(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f",
        "commune.fr.",
        ".fr",
        "a..fr",
        "-a.fr",
        "a-.fr",
        "a b.fr",
        "a_b.fr",
        "a@b.fr",
        "*.fr",
        "a/b",
        "commune\n.fr",
        "a" * 64 + ".fr",
        ".".join(["a" * 62] * 5),
        "\u2603.fr",
        "a\u3002fr",
    ],
)
def test_what_is_no_domain_name_is_none(text: str) -> None:
    assert canonical_domain(text) is None


def test_the_kelvin_sign_is_no_k() -> None:
    assert fold(f"{KELVIN}iel.fr") == f"{KELVIN}iel.fr"
    assert canonical_domain(f"{KELVIN}iel.fr") is None
    assert Email(f"{KELVIN}@x.fr").key != Email("k@x.fr").key


def test_a_capital_that_is_not_ascii_is_not_folded() -> None:
    assert fold("É") == "É"
    assert canonical_domain("ÉVREUX.fr") is None
    assert Email("É@x.fr").key != Email("é@x.fr").key


def test_a_list_that_was_iterated_into_letters_holds_no_names() -> None:
    assert [canonical_domain(letter) for letter in "x.fr"] == [None] * 4


@given(st.text(max_size=80))
def test_canonical_is_a_fixed_point(text: str) -> None:
    name = canonical_domain(text)
    assert name is None or (is_canonical(name) and name.isascii() and name == name.lower())


@pytest.mark.parametrize(
    ("one", "other"),
    [("Jean@Commune.FR", "jean@commune.fr"), ("jean@évreux.fr", "JEAN@xn--vreux-9ra.fr"), (" jean@x.fr ", "jean@x.fr")],
)
def test_two_spellings_of_one_address(one: str, other: str) -> None:
    assert Email(one).key == Email(other).key


@pytest.mark.parametrize("text", ["jean", "jean@", "@", "", "jean@a@b.fr"])
def test_an_address_that_is_none_has_a_key_and_a_mask(text: str) -> None:
    assert isinstance(Email(text).key, str)
    assert "jean" not in str(Email(text))


class Holder(BaseModel):
    email: Email


def test_an_email_masks_itself_wherever_it_is_printed(caplog: pytest.LogCaptureFixture) -> None:
    email = Email(ADDRESS)
    holder = Holder.model_validate({"email": email.reveal()})
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r %s", email, email, holder)
    printed = f"{email} {email!r} {email!s} {[email]} {holder!r} {holder} {caplog.text}"

    assert "secret" not in printed
    assert "commune.fr" in str(email), "the domain part says whom to ask"
    assert holder.model_dump() == {"email": ADDRESS}


def test_an_error_about_an_email_does_not_show_it() -> None:
    class Hidden(Holder):
        model_config = {"hide_input_in_errors": True}

    with pytest.raises(ValidationError) as error:
        Hidden.model_validate({"email": "jean.secret commune.fr"})

    assert "secret" not in str(error.value)
