"""Who is let in? Bearer keys, channels, rotation, and nobody where no key is configured."""

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from controller.provisioning.authentication import REREAD, Bearer, Caller, Channel, EitherContract, KeyRing
from controller.provisioning.refusals import Refused
from tests.support.provisioning import write_keys


def status(gate: Bearer | Channel | EitherContract, **headers: str) -> int | Caller:
    given = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    try:
        return gate.admit(given)
    except Refused as refused:
        return refused.status


def test_a_bearer_key_is_known_by_its_file(tmp_path: Path) -> None:
    gate = Bearer(KeyRing(write_keys(tmp_path / "k", present="one\n", next="two")))

    assert status(gate, authorization="Bearer one") == Caller("present")
    assert status(gate, authorization="Bearer two") == Caller("next")


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "bearer one", "Bearer  one", "one", "Basic one", "Bearer on", "Bearer one x"]
)
def test_anything_else_is_no_key(tmp_path: Path, given: str) -> None:
    assert status(Bearer(KeyRing(write_keys(tmp_path / "k", a="one"))), authorization=given) == 403


def test_a_key_that_is_not_configured_admits_nobody(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "absent", write_keys(tmp_path / "k", blank="\n \n", empty="")):
        ring = KeyRing(folder)
        assert status(Bearer(ring)) == 403
        assert status(Bearer(ring), authorization="Bearer ") == 403
        assert status(Bearer(ring), authorization="Bearer x") == 403
        assert status(Channel(ring), x_channel_id="blank", x_api_key="") == 401
        assert status(Channel(ring), x_channel_id="empty", x_api_key="x") == 401


def test_a_channel_needs_its_own_key(tmp_path: Path) -> None:
    gate = Channel(KeyRing(write_keys(tmp_path / "k", one="a\nb\n", two="c")))

    assert status(gate, x_channel_id="one", x_api_key="a") == Caller("one")
    assert status(gate, x_channel_id="one", x_api_key="b") == Caller("one")
    assert status(gate, x_channel_id="one", x_api_key="c") == 401
    assert status(gate, x_channel_id="two", x_api_key="a") == 401
    assert status(gate, x_channel_id="three", x_api_key="a") == 401
    assert status(gate, x_channel_id="one") == 401
    assert status(gate, x_api_key="a") == 401


def test_the_headers_say_which_contract_it_is(tmp_path: Path) -> None:
    gate = EitherContract(
        Bearer(KeyRing(write_keys(tmp_path / "b", x="one"))), Channel(KeyRing(write_keys(tmp_path / "c", x="two")))
    )

    assert status(gate) == 403
    assert status(gate, authorization="Bearer one") == Caller("x")
    assert status(gate, authorization="Bearer two") == 403
    assert status(gate, x_channel_id="x", x_api_key="two") == Caller("x")
    assert status(gate, x_channel_id="x", x_api_key="one") == 401
    assert status(gate, authorization="Bearer one", x_channel_id="x") == 401


def test_keys_rotate_without_a_restart(tmp_path: Path) -> None:
    now = 0.0
    folder = write_keys(tmp_path / "k", a="old")
    gate = Bearer(KeyRing(folder, clock=lambda: now))
    assert status(gate, authorization="Bearer old") == Caller("a")

    write_keys(folder, a="old\nnew")
    now += REREAD
    assert status(gate, authorization="Bearer old") == status(gate, authorization="Bearer new") == Caller("a")

    write_keys(folder, a="new")
    now += REREAD
    assert status(gate, authorization="Bearer old") == 403
    assert status(gate, authorization="Bearer new") == Caller("a")


def test_a_mounted_secret_is_read_through_its_links_and_not_twice(tmp_path: Path) -> None:
    version = write_keys(tmp_path / "..2026", key="one")
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "key").symlink_to("..data/key")
    (tmp_path / "folder").mkdir()

    assert [name for name, _ in KeyRing(tmp_path)._current()] == ["key"]


def test_keys_are_never_kept_as_they_are(tmp_path: Path) -> None:
    ring = KeyRing(write_keys(tmp_path / "k", a="plain-text"))
    ring.find("plain-text")

    assert b"plain-text" not in repr(vars(ring)).encode()
