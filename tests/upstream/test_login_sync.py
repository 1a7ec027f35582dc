"""The mail application's tests of its synchronisation at login, one by one, for everybody instead of one who logs in.

docs/upstream.md says of each whether it holds here as it stands, or differs and why.
"""

import pytest

from controller.planning.facts import AnswerReason, Entitled, Subject, Unavailable, Unknown, Verdict
from controller.resources.names import DomainName
from tests.support.database import MailWorld, watched
from tests.support.operating import Operating, admins
from tests.support.planning import PlanningWorld

ONE, TWO = "one.fr", "two.fr"


@pytest.fixture
def town() -> PlanningWorld:
    """Two declared domains and one user who administers none of them."""
    found = PlanningWorld()
    found.domain(ONE)
    found.domain(TWO)
    found.user("ada@one.fr")
    return found


def test_sync_creates_an_access_for_each_entitled_domain(town: PlanningWorld) -> None:
    town.says("ada", ONE, TWO)
    town.apply()

    assert (town.admins_of(ONE), town.admins_of(TWO)) == ({"ada"}, {"ada"})
    assert len(town.rows) == 2


def test_sync_removes_an_access_that_is_no_longer_listed(town: PlanningWorld) -> None:
    kept = town.admin("ada", ONE)
    town.admin("ada", TWO)
    town.says("ada", ONE)
    town.confirm_and_apply()

    assert list(town.rows.values()) == [kept]


def test_sync_skips_when_there_is_no_list(town: PlanningWorld) -> None:
    kept = town.admin("ada", ONE)
    town.says("ada", verdict=Unknown(AnswerReason.KEY_ABSENT))
    decided = town.confirm_and_apply()

    assert list(town.rows.values()) == [kept]
    assert not decided.changes


def test_sync_removes_every_access_when_the_list_is_empty(town: PlanningWorld) -> None:
    town.admin("ada", ONE)
    town.admin("ada", TWO)
    town.says("ada")
    town.confirm_and_apply()

    assert town.rows == {}


@pytest.mark.parametrize("reason", [AnswerReason.CONNECTION, AnswerReason.TIMEOUT])
def test_sync_keeps_every_access_when_the_service_is_unavailable_or_times_out(
    town: PlanningWorld, reason: AnswerReason
) -> None:
    kept = town.admin("ada", ONE)
    town.says("ada", verdict=Unavailable(reason))
    town.confirm_and_apply()

    assert list(town.rows.values()) == [kept]


def test_sync_skips_a_domain_that_is_not_in_the_database() -> None:
    town = PlanningWorld()
    town.domain("new.fr", row=False)
    town.user("ada@one.fr")
    town.says("ada", "new.fr", "never-declared.fr")
    town.apply()

    assert town.rows == {}
    assert town.plan_of("new.fr").difference.pending == 1, "it waits, where login forgets it"


def test_sync_makes_no_second_access(town: PlanningWorld) -> None:
    kept = town.admin("ada", ONE)
    town.says("ada", ONE)
    town.confirm_and_apply()

    assert list(town.rows.values()) == [kept]


def test_sync_takes_the_second_list_in_place_of_the_first(town: PlanningWorld) -> None:
    town.says("ada", ONE)
    town.apply()
    town.repeat(seconds=60)
    town.says("ada", TWO)
    town.confirm_and_apply()

    assert (town.admins_of(ONE), town.admins_of(TWO)) == (set(), {"ada"})


# --- what needs a source that is asked, or a database -----------------------------------------------------------------


async def test_sync_asks_the_service_anew_each_time(operating: Operating, world: MailWorld) -> None:
    world.admin(world.user("ada@one.fr"), world.domain(ONE))
    operating.source.says["ada@one.fr"] = frozenset({ONE})
    operating.domain(ONE)
    await operating.settle()
    asked = len(operating.source.asked)
    for _ in range(2):
        await operating.wave()

    assert operating.source.asked[asked:] == ["ada@one.fr"] * 2


async def test_sync_passes_the_claims_on(operating: Operating, world: MailWorld) -> None:
    heard: list[Subject] = []

    def listen(subject: Subject) -> Verdict:
        heard.append(subject)
        return Entitled(frozenset[DomainName]())

    world.user("ada@one.fr", claims={"siret": "21590350100017", "groups": ["x"]})
    world.domain(ONE)
    operating.source.instead = listen
    operating.domain(ONE)
    await operating.settle()

    [subject] = heard
    assert subject.claims == {"siret": "21590350100017"}


async def test_sync_writes_nothing_when_in_sync(operating: Operating, world: MailWorld) -> None:
    world.admin(world.user("ada@one.fr"), world.domain(ONE))
    operating.source.says["ada@one.fr"] = frozenset({ONE})
    operating.domain(ONE)
    await operating.settle()
    rows = world.rows_of("messages_maildomainaccess")
    with watched(operating.database) as seen:
        await operating.wave()

    # What is written is the lease.
    written = {statement for statement in seen.sent if statement.startswith(("INSERT", "UPDATE", "DELETE"))}
    assert {statement for statement in written if "mdc_fence" not in statement} == set()
    assert world.rows_of("messages_maildomainaccess") == rows
    assert admins(world, ONE) == 1
