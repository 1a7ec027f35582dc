"""What is left to somebody else who writes as well, and who is doubted because their e-mail has changed."""

from dataclasses import replace

import pytest

from controller.planning.facts import Contest, DomainId, Holding, Seal, User, UserId
from controller.planning.guard import Approvals
from controller.planning.plan import plan
from controller.planning.status import count
from controller.resources.names import Email
from tests.support.planning import PlanningWorld

ADA = Holding(DomainId("x.fr"), UserId("ada"))


@pytest.fixture
def world() -> PlanningWorld:
    """One domain that keeps one administrator, whatever the tests do to ada."""
    world = PlanningWorld(seal=Seal("a key"))
    world.domain("x.fr", limits={"revocations": {"max": "100%"}})
    world.user("ada@x.fr")
    world.admin(world.user("bob@x.fr"), "x.fr")
    world.says("bob", "x.fr")
    return world


# --- a second writer --------------------------------------------------------------------------------------------------


def test_a_row_that_vanishes_again_and_again_is_not_written_again(world: PlanningWorld) -> None:
    world.says("ada", "x.fr")
    world.contests[ADA] = Contest(vanished=True)
    planned = world.plan_of("x.fr")
    assert (planned.grants, planned.contested) == ((), 1)
    assert count(planned).contested == 1
    world.contests.clear()
    assert len(world.plan_of("x.fr").grants) == 1


def test_a_row_that_vanished_and_stands_now_is_ordinary(world: PlanningWorld) -> None:
    world.contests[ADA] = Contest(vanished=True)
    world.admin("ada", "x.fr")
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"bob"}


@pytest.mark.parametrize("ownership", ["Ledger", "Authoritative"])
def test_a_row_that_comes_back_is_not_removed_again(world: PlanningWorld, ownership: str) -> None:
    world.declared.clear()
    world.domain("x.fr", ownership=ownership)
    world.admin("ada", "x.fr", owned=False)
    world.says("ada")
    world.contests[ADA] = Contest(removed=True)
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"ada", "bob"}
    assert world.plan_of("x.fr").contested == 1
    world.says("ada", "x.fr")
    assert world.plan_of("x.fr").contested == 0, "a source names them again"


def test_a_row_that_comes_back_and_became_ours_is_ordinary(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    world.says("ada")
    world.contests[ADA] = Contest(removed=True)
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"bob"}


def test_a_denied_administrator_who_comes_back_goes_again(world: PlanningWorld) -> None:
    world.declared.clear()
    world.domain("x.fr", deniedAdmins=["ada@x.fr"])
    world.admin("ada", "x.fr", owned=False)
    world.contests[ADA] = Contest(removed=True)
    world.apply()
    assert world.admins_of("x.fr") == {"bob"}


# --- another e-mail ---------------------------------------------------------------------------------------------------


def rename(world: PlanningWorld, user: str, email: str) -> None:
    world.users[UserId(user)] = replace(world.users[UserId(user)], email=Email(email))


@pytest.fixture
def renamed(world: PlanningWorld) -> PlanningWorld:
    """Ada was granted as ada@x.fr, and is somebody whom the source does not know now."""
    world.says("ada", "x.fr")
    world.apply()
    rename(world, "ada", "ada.lovelace@x.fr")
    world.says("ada")
    return world


def test_whoever_has_another_e_mail_is_kept_for_a_day(renamed: PlanningWorld) -> None:
    renamed.confirm_and_apply()
    assert renamed.admins_of("x.fr") == {"ada", "bob"}
    (held,) = renamed.plan_of("x.fr").held
    assert (held.user, held.hold.limit) == ("ada", "identityChanged 24h")
    assert str(held.hold.scope) == "MailDomain default/x-fr"
    renamed.repeat(hours=23)
    renamed.repeat(minutes=59, seconds=28)
    renamed.apply()
    assert renamed.admins_of("x.fr") == {"ada", "bob"}, "31 s for the second ask, and a second is left of the day"
    renamed.repeat(seconds=1)
    renamed.apply()
    assert renamed.admins_of("x.fr") == {"bob"}


def test_a_person_may_let_them_go_at_once(renamed: PlanningWorld) -> None:
    renamed.confirm_and_apply()
    (held,) = renamed.plan_of("x.fr").held
    decided = plan(renamed.question(approvals=Approvals(by_command=frozenset({held.hold.id}))))
    assert [item.access.user for item in decided.changes.revocations] == ["ada"]


def test_a_right_under_the_new_e_mail_ends_the_doubt(renamed: PlanningWorld) -> None:
    renamed.confirm_and_apply()
    renamed.says("ada", "x.fr")
    assert renamed.plan_of("x.fr").held == ()
    renamed.apply()
    assert renamed.admins_of("x.fr") == {"ada", "bob"}


def test_another_spelling_is_the_same_e_mail(world: PlanningWorld) -> None:
    world.says("ada", "x.fr")
    world.apply()
    rename(world, "ada", "Ada@X.FR")
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"bob"}


def test_a_row_whose_e_mail_was_never_sealed_is_doubted_by_nobody(world: PlanningWorld) -> None:
    world.admin("ada", "x.fr")
    rename(world, "ada", "ada.lovelace@x.fr")
    world.says("ada")
    world.confirm_and_apply()
    assert world.admins_of("x.fr") == {"bob"}


def test_the_same_e_mail_on_another_user_is_another_user(world: PlanningWorld) -> None:
    world.says("ada", "x.fr")
    world.apply()
    rename(world, "ada", "former@x.fr")
    world.users[UserId("new")] = User(UserId("new"), Email("ada@x.fr"), active=True)
    world.says("new", "x.fr")
    world.says("ada", "x.fr")
    world.apply()
    assert world.admins_of("x.fr") == {"ada", "bob", "new"}, "each by what is said about them"
    world.says("ada")
    world.confirm_and_apply()
    assert world.plan_of("x.fr").held[0].user == "ada"
    assert "new" in world.admins_of("x.fr")


def test_a_seal_hides_the_e_mail_and_depends_on_its_key() -> None:
    seal, email = Seal("a key"), Email("ada@x.fr")
    assert "ada" not in seal.of(email)
    assert len(seal.of(email)) == 32, "as wide as its column"
    assert seal.of(email) == seal.of(Email("ADA@x.fr"))
    assert seal.of(email) != Seal("another").of(email)
    assert "a key" not in repr(seal)
