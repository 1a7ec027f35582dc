"""Whom a source is asked about, and who is meant by an e-mail."""

import pytest

from controller.planning.facts import User, UserId
from controller.planning.identity import askable, identify
from controller.resources.names import Email


@pytest.mark.parametrize(
    ("email", "active", "asked"),
    [("ada@x.fr", True, True), ("ada@x.fr", False, False), (None, True, False), (None, False, False)],
)
def test_only_active_users_with_an_e_mail_are_asked_about(email: str | None, *, active: bool, asked: bool) -> None:
    user = User(UserId("ada"), Email(email) if email is not None else None, active)
    assert askable(user) is asked


def test_whoever_shares_an_e_mail_is_meant_by_it_however_many_they_are() -> None:
    shared = {"ada": False, "bob": True, "cyd": True}
    users = {UserId(name): User(UserId(name), Email("Ada@x.fr"), active) for name, active in shared.items()}
    users[UserId("dan")] = User(UserId("dan"), Email("dan@x.fr"), active=True)
    found = identify(users)
    assert found.having(Email("ada@X.fr")) == ("ada", "bob", "cyd")
    assert found.having(Email("dan@x.fr")) == ("dan",)
    assert found.ambiguous == {"bob", "cyd"}
