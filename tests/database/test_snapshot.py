"""What is read: everything at one moment, in few statements, from tables of every known shape."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from controller.maildb.database import MailDatabase
from controller.planning.changes import Changes, Denied, Revocation, Withdrawn
from controller.planning.facts import Activity, CaseState, Claim, Granted, Known, Origin, Scope
from controller.resources.names import DomainName, Email, ResourceKey
from tests.support.changes import MOMENT, SOURCE, access, adoption, case, grant, hold, scene, write
from tests.support.database import OWNER, MailWorld, at_each_statement, fill, opened, watched

X = DomainName("x.fr")
DAY = timedelta(hours=24)
SCOPE = Scope("EntitlementSource", SOURCE)


def test_users_domains_and_rows_are_read_as_they_stand(database: MailDatabase, world: MailWorld) -> None:
    ada = world.user("Ada@X.fr", claims={"siret": "123", "age": 3, "none": None, "list": ["a"]})
    domain = world.domain("x.fr", attributes={"siret": "456"})
    row = world.admin(ada, domain)
    other = world.admin(world.user(), domain, role=2)
    seen = database.snapshot({X}, ())
    assert seen.users[ada].email == Email("Ada@X.fr")
    assert seen.users[ada].active
    assert seen.users[ada].claims == {"siret": "123"}
    assert seen.domains[0].siret == "456"
    assert {(item.id, item.admin) for item in seen.accesses[domain]} == {(row, True), (other, False)}


@pytest.mark.parametrize("email", [None, ""])
def test_a_user_without_an_email_has_none(database: MailDatabase, world: MailWorld, email: str | None) -> None:
    user = world.user(email)
    assert database.snapshot((), ()).users[user].email is None


def test_an_email_that_is_no_address_is_kept_as_it_is_stored(database: MailDatabase, world: MailWorld) -> None:
    user = world.user("not an address")
    assert database.snapshot((), ()).users[user].email == Email("not an address")


def test_inactive_users_and_poisoned_attributes_do_not_stop_the_others(
    database: MailDatabase, world: MailWorld
) -> None:
    user = world.user(active=False)
    domain = world.domain("x.fr", attributes={"siret": ["a", 1], "nested": {"siret": "no"}})
    seen = database.snapshot((), ())
    assert not seen.users[user].active
    assert [(row.id, row.siret) for row in seen.domains] == [(domain, None)]


USERS = "UPDATE messages_user SET "


@pytest.mark.parametrize(
    "act",
    [
        lambda world: world.user(),
        lambda world: world.execute("DELETE FROM messages_user"),
        lambda world: world.execute(USERS + "is_active = false"),
        lambda world: world.execute(USERS + "email = 'other@x.fr'"),
        lambda world: world.execute(USERS + "oidc_claims = '{}', updated_at = '2030-01-01 00:00:00'"),
    ],
)
def test_users_that_have_changed_are_read_again_even_if_not_anew(
    database: MailDatabase, world: MailWorld, act: Callable[[MailWorld], object]
) -> None:
    world.user("ada@x.fr", claims={"siret": "123"})
    before = database.snapshot((), ()).users
    assert database.snapshot((), (), anew=False).users is before
    act(world)
    assert database.snapshot((), (), anew=False).users == database.snapshot((), ()).users != before


def test_claims_that_change_alone_are_read_anew(database: MailDatabase, world: MailWorld) -> None:
    ada = world.user("ada@x.fr", claims={"siret": "123"})
    assert database.snapshot((), ()).users[ada].claims
    world.execute(USERS + "oidc_claims = '{}'")
    assert not database.snapshot((), ()).users[ada].claims


def test_twins_and_aliases_are_told_apart(database: MailDatabase, world: MailWorld) -> None:
    domain = world.domain("x.fr")
    world.domain("X.FR")
    world.domain("alias.fr", alias_of=domain)
    seen = database.snapshot((), ())
    assert {(row.name, row.alias) for row in seen.domains} == {("x.fr", False), ("X.FR", False), ("alias.fr", True)}


def test_rows_of_other_domains_are_not_read(database: MailDatabase, world: MailWorld) -> None:
    declared, other = world.domain("x.fr"), world.domain("y.fr")
    user = world.user()
    world.admin(user, declared)
    world.admin(user, other)
    assert set(database.snapshot({X}, ()).accesses) == {declared}


def test_an_old_text_role_and_no_claims(bare_url: str, dialect: str) -> None:
    world = MailWorld(bare_url, role="ADMIN", claims=False)
    for table in ("messages_maildomainaccess", "messages_maildomain", "messages_user"):
        world.execute(f"DROP TABLE {table}")
    fill(bare_url, migrated=True, role="varchar(20)", claims=False)
    domain, ada, bob = world.domain("x.fr"), world.user(), world.user()
    world.admin(ada, domain)
    world.admin(bob, domain, role="OTHER")
    with opened(bare_url) as database:
        seen = database.snapshot({X}, ())
        assert {row.user: row.admin for row in seen.accesses[domain]} == {ada: True, bob: False}
        carol = world.user()
        write(database, Changes(grants=(grant(carol, domain),)))
    assert world.admins_of(domain) == {ada, carol}


def test_before_the_first_migrate_everything_of_ours_is_empty(bare_url: str) -> None:
    world = MailWorld(bare_url)
    row = world.admin(world.user(), world.domain("x.fr"))
    with opened(bare_url) as database:
        seen = database.snapshot({X}, {DAY})
    assert (seen.migrated, seen.epoch, seen.ledger, seen.cases, seen.holds) == (False, 0, {}, (), ())
    assert seen.activity == {DAY: {}}
    assert [item.id for rows in seen.accesses.values() for item in rows] == [row]


def test_what_was_written_is_read_back(database: MailDatabase, world: MailWorld) -> None:
    set_up = scene(world)
    written = write(database, set_up.changes)
    seen = database.snapshot({X}, {DAY, timedelta(minutes=1)})
    owned = {(item.user, item.origin, item.since) for item in seen.ledger.values()}
    assert owned == {
        (set_up.newcomer, Origin.GRANTED, written.at),
        (set_up.kept.user, Origin.ADOPTED, written.at),
    }
    assert seen.cases == (case(set_up.kept, CaseState.HELD, hold="hold-1"),)
    assert seen.holds == (hold(set_up.kept),)
    assert seen.claims == {X: Claim(OWNER, ResourceKey("default", "x-fr"))}
    assert seen.activity == {DAY: {X: Activity(1, 1)}, timedelta(minutes=1): {X: Activity(1, 1)}}
    assert seen.removed == {DAY: {SOURCE: {X: 1}}, timedelta(minutes=1): {SOURCE: {X: 1}}}
    assert seen.granted == {SOURCE: Granted(today=2)}
    assert seen.known == {SCOPE: Known(SCOPE, MOMENT)}
    assert written.at is not None
    assert seen.taken_at >= written.at
    assert seen.taken_at.utcoffset() == timedelta(0)


def test_closed_holds_are_spent_and_approved_ones_say_so(database: MailDatabase, world: MailWorld) -> None:
    kept = scene(world).kept
    write(database, Changes(holds=(hold(kept, approved=True),)))
    assert [item.approved for item in database.snapshot((), ()).holds] == [True]
    write(database, Changes(holds=(hold(kept, approved=True, closed=True),)))
    seen = database.snapshot((), ())
    assert (seen.holds, seen.spent_holds) == ((), frozenset({"hold-1"}))


def test_activity_outside_of_a_window_does_not_count(database: MailDatabase, world: MailWorld) -> None:
    write(database, scene(world).changes)
    seen = database.snapshot((), {timedelta(0)})
    assert (seen.activity, seen.removed) == ({timedelta(0): {}}, {timedelta(0): {}})


@pytest.mark.parametrize("withdrawn", [False, True])
def test_what_no_limit_weighs_uses_up_no_limit(database: MailDatabase, world: MailWorld, *, withdrawn: bool) -> None:
    leaving = scene(world).leaving
    proof = Withdrawn(case(leaving, CaseState.EXECUTED)) if withdrawn else Denied()
    write(database, Changes(revocations=(Revocation(leaving, X, (SOURCE,), proof),)))
    seen = database.snapshot({X}, {DAY})
    assert (seen.activity, seen.removed) == ({DAY: {}}, {DAY: {}})
    (entry,) = database.journal(limit=1)
    assert entry.case == (f"case-{leaving.id}" if withdrawn else None)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(1, Granted(2)), (23.9, Granted(2)), (24.1, Granted(week=2)), (191.9, Granted(week=2)), (192.1, None)],
)
def test_what_a_source_granted_is_counted_by_day_and_week(
    database: MailDatabase, world: MailWorld, hours: float, expected: Granted | None
) -> None:
    write(database, scene(world).changes)
    backdate(world, hours)
    assert database.snapshot((), ()).granted.get(SOURCE) == expected


def test_a_grant_counts_for_each_source_that_names_the_user(database: MailDatabase, world: MailWorld) -> None:
    domain = world.domain("x.fr")
    second = ResourceKey("default", "second")
    both = replace(grant(world.user(), domain), sources=(SOURCE, second))
    row = world.user()
    kept = adoption(access(world.admin(row, domain), row, domain))
    write(database, Changes(grants=(both, grant(world.user(), domain)), adoptions=(kept,)))
    assert database.snapshot((), ()).granted == {SOURCE: Granted(3), second: Granted(1)}


def backdate(world: MailWorld, hours: float) -> None:
    """Let the journal have been written so many hours earlier."""
    if world.dialect == "postgresql":
        world.execute(f"UPDATE maildomain_controller.journal SET at = at - interval '{hours} hours'")
    else:
        world.execute(f"UPDATE mdc_journal SET at = strftime('%Y-%m-%d %H:%M:%f', at, '-{hours} hours') || '000'")


def test_the_ledger_of_another_owner_is_not_ours(database: MailDatabase, world: MailWorld, database_url: str) -> None:
    write(database, scene(world).changes)
    with opened(database_url, owner="other") as other:
        seen = other.snapshot({X}, ())
    assert (seen.ledger, seen.cases, seen.holds, seen.granted, seen.known) == ({}, (), (), {}, {})
    assert seen.claims[X].owner == OWNER


def test_the_number_of_statements_does_not_grow(database: MailDatabase, world: MailWorld) -> None:
    counts = []
    for size in (10, 1_000):
        world.population(size, size // 10, size) if size == 10 else world.population(size, 0, 0)
        with watched(database) as seen:
            database.snapshot({DomainName(f"d{n}.fr") for n in range(100)}, {DAY})
        counts.append(len(seen.sent))
    assert counts[0] == counts[1]


def test_a_snapshot_shows_one_moment_while_others_commit(database: MailDatabase, world: MailWorld) -> None:
    if world.dialect == "sqlite":
        # A reader keeps writers from committing, unless the file is in the mode that lets both go on.
        world.execute("PRAGMA journal_mode=WAL")
    domain, user = world.domain("x.fr"), world.user()
    world.admin(user, domain)

    def interfere(statement: str) -> None:
        if "FROM messages_maildomain \n" in statement or statement.rstrip().endswith("FROM messages_maildomain"):
            world.execute("DELETE FROM messages_maildomainaccess")
            world.user("late@x.fr")

    with at_each_statement(database, interfere):
        seen = database.snapshot({X}, ())
    assert len(seen.accesses[domain]) == 1
    assert set(seen.users) == {user}
    assert database.snapshot({X}, ()).accesses == {}


def test_rows_share_their_texts(database: MailDatabase, world: MailWorld) -> None:
    domain, user = world.domain("x.fr"), world.user()
    world.admin(user, domain)
    seen = database.snapshot({X}, ())
    (row,) = seen.accesses[domain]
    assert row.user is seen.users[user].id
    assert row == access(row.id, user, domain)
