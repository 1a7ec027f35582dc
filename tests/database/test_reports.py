"""What `status`, `journal` and `export` are told, and what the pulse notices."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.maildb.database import MailDatabase
from controller.maildb.journal import Selection
from controller.planning.changes import Changes
from controller.planning.facts import Access, AccessId, CaseState, Scope
from controller.resources.names import DomainName
from tests.support.changes import MOMENT, SOURCE, case, hold, scene, write
from tests.support.database import MailWorld

X = DomainName("x.fr")
SCOPE = Scope("EntitlementSource", SOURCE)


def test_status_says_who_is_held_who_lost_access_and_who_holds_the_lease(
    database: MailDatabase, world: MailWorld
) -> None:
    set_up = scene(world)
    write(database, set_up.changes)
    epoch = database.acquire()
    facts = database.status_facts()
    (held,) = facts.holds
    assert (held.id, held.since, held.count, held.approved) == ("hold-1", MOMENT, 1, False)
    assert (facts.open_cases, facts.oldest_case) == (1, MOMENT)
    assert [(lost.user, lost.domain) for lost in facts.lost] == [(set_up.leaving.user, X)]
    assert (facts.lease.epoch, facts.lease.holder) == (epoch, database.holder)
    assert facts.lease.expires_at is not None
    assert facts.now < facts.lease.expires_at <= facts.now + timedelta(seconds=15)


def test_what_waits_on_an_object_is_told_with_people_and_evidence(database: MailDatabase, world: MailWorld) -> None:
    set_up = scene(world)
    write(database, set_up.changes)
    tomorrow = datetime.now(UTC) + timedelta(hours=1)
    arrival = Access(AccessId("none"), set_up.domain, set_up.newcomer, admin=True)
    write(database, Changes(holds=(replace(hold(set_up.kept, arrival), expires_at=tomorrow),)))
    (found,) = database.holds_of(SCOPE)
    assert (found.id, found.limit, found.approved) == ("hold-1", "revocations 25% in 24h", False)
    waiting = {item.user: item for item in found.waiting}
    about = waiting[set_up.kept.user]
    assert (about.domain, about.state, about.since) == ("x.fr", CaseState.HELD, MOMENT)
    assert about.email == database.snapshot((), ()).users[set_up.kept.user].email
    assert [item.verdict for item in about.evidence] == ["Entitled"]
    assert waiting[set_up.newcomer].state is None, "a grant has no case"
    assert database.holds_of(Scope("MailDomain", SOURCE)) == ()


@pytest.mark.parametrize("over", [{"closed": True}, {"expires_at": MOMENT}])
def test_a_hold_that_is_over_waits_for_nobody(database: MailDatabase, world: MailWorld, over: dict[str, Any]) -> None:
    kept = scene(world).kept
    standing = replace(hold(kept), expires_at=datetime.now(UTC) + timedelta(hours=1))
    write(database, Changes(holds=(replace(standing, **over),)))
    assert database.holds_of(SCOPE) == ()


def test_status_of_a_quiet_database(database: MailDatabase) -> None:
    facts = database.status_facts()
    assert (facts.holds, facts.open_cases, facts.oldest_case, facts.lost) == ((), 0, None, ())
    assert (facts.lease.epoch, facts.lease.holder) == (0, None)


def test_closed_holds_and_cases_are_not_shown(database: MailDatabase, world: MailWorld) -> None:
    kept = scene(world).kept
    write(database, Changes(cases=(case(kept, CaseState.CLOSED),), holds=(hold(kept, closed=True),)))
    facts = database.status_facts()
    assert (facts.holds, facts.open_cases) == ((), 0)


def test_the_journal_is_read_newest_first_and_filtered(database: MailDatabase, world: MailWorld) -> None:
    write(database, scene(world).changes)
    everything = database.journal()
    assert [entry.id for entry in everything] == sorted((entry.id for entry in everything), reverse=True)
    assert database.journal(Selection(domain=X)) == everything
    assert database.journal(Selection(domain=DomainName("y.fr"))) == ()
    assert database.journal(Selection(since=timedelta(hours=1))) == everything
    assert database.journal(Selection(since=timedelta(0))) == ()
    assert database.journal(limit=2) == everything[:2]


def test_export_names_the_administrators_of_every_domain_that_can_be_declared(
    database: MailDatabase, world: MailWorld
) -> None:
    target, twin, other = world.domain("x.fr"), world.domain("Y.fr"), world.domain("z.fr")
    alias = world.domain("alias.fr", alias_of=target)
    ada, bob = sorted((world.user(), world.user()))
    for domain in (target, twin, alias):
        world.admin(bob, domain)
        world.admin(ada, domain)
    world.admin(ada, other, role=2)
    assert database.export_facts() == {"x.fr": (ada, bob), "z.fr": ()}


def test_the_pulse_stands_still_when_nothing_happens(database: MailDatabase, world: MailWorld) -> None:
    scene(world)
    assert database.pulse() == database.pulse()


def test_the_pulse_of_an_empty_database(database: MailDatabase) -> None:
    assert database.pulse() == database.pulse()


def swap_a_row(world: MailWorld) -> None:
    """One row goes and another comes at the same moment, with the same times."""
    (row,) = world.execute("SELECT * FROM messages_maildomainaccess LIMIT 1")
    world.execute("DELETE FROM messages_maildomainaccess WHERE id = :id", id=row["id"])
    world.execute(
        "INSERT INTO messages_maildomainaccess (id, created_at, updated_at, role, maildomain_id, user_id)"
        " VALUES (:id, :created_at, :updated_at, :role, :maildomain_id, :user_id)",
        **(row | {"id": "f" * 32}),
    )


@pytest.mark.parametrize(
    "act",
    [
        lambda world: world.user(),
        lambda world: world.domain("y.fr"),
        lambda world: world.execute("DELETE FROM messages_maildomainaccess"),
        lambda world: world.execute("UPDATE messages_user SET is_active = false"),
        lambda world: world.execute("UPDATE messages_user SET email = 'changed@y.fr'"),
        lambda world: world.execute("UPDATE messages_maildomain SET name = 'renamed.fr'"),
        lambda world: world.execute("UPDATE messages_maildomainaccess SET role = 2"),
        lambda world: world.execute("UPDATE messages_user SET updated_at = '2030-01-01 00:00:00'"),
        swap_a_row,
    ],
)
def test_the_pulse_notices(database: MailDatabase, world: MailWorld, act: Callable[[MailWorld], object]) -> None:
    scene(world)
    before = database.pulse()
    act(world)
    assert database.pulse() != before
