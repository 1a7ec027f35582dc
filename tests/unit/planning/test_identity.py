"""Whom a source is asked about."""

import pytest

from controller.planning.facts import User, UserId
from controller.planning.identity import askable
from controller.resources.names import Email


@pytest.mark.parametrize(
    ("email", "active", "asked"),
    [("ada@x.fr", True, True), ("ada@x.fr", False, False), (None, True, False), (None, False, False)],
)
def test_only_active_users_with_an_e_mail_are_asked_about(email: str | None, *, active: bool, asked: bool) -> None:
    user = User(UserId("ada"), Email(email) if email is not None else None, active)
    assert askable(user) is asked
