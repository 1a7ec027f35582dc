"""What one transaction does: exactly the plan, or nothing."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from controller.errors import PlanOutdated
from controller.maildb.database import MailDatabase
from controller.maildb.journal import Selection
from controller.planning.changes import Changes, Denied, Grant, Revocation
from controller.planning.facts import CaseState
from controller.resources.names import DomainName, ResourceKey
from tests.support.changes import SOURCE, Scene, access, adoption, case, grant, hold, revocation, scene, write
from tests.support.database import MailWorld, at_each_statement, opened, watched

X = DomainName("x.fr")
ACCESS = "messages_maildomainaccess"


def test_exactly_the_planned_rows_change(database: MailDatabase, world: MailWorld) -> None:
    set_up = scene(world)
    before = world.dump()
    write(database, set_up.changes)
    after = world.dump()
    assert after["messages_user"] == before["messages_user"]
    assert after["messages_maildomain"] == before["messages_maildomain"]
    gone = set(before[ACCESS]) - set(after[ACCESS])
    come = set(after[ACCESS]) - set(before[ACCESS])
    assert [UUID(json.loads(row)["id"]) for row in gone] == [UUID(set_up.leaving.id)]
    assert [UUID(json.loads(row)["user_id"]) for row in come] == [UUID(set_up.newcomer)]


def test_a_new_row_is_as_the_application_would_have_made_it(database: MailDatabase, world: MailWorld) -> None:
    set_up = scene(world)
    pattern = json.loads(world.rows_of(ACCESS)[0])
    written = write(database, set_up.changes)
    rows = [json.loads(row) for row in world.rows_of(ACCESS)]
    (row,) = [row for row in rows if UUID(row["user_id"]) == UUID(set_up.newcomer)]
    assert {name: type(value) for name, value in row.items()} == {name: type(value) for name, value in pattern.items()}
    assert len(row["id"]) == len(pattern["id"])
    assert len(row["created_at"]) == len(pattern["created_at"])
    assert UUID(row["id"]).version == 4
    assert row["created_at"] == row["updated_at"]
    assert written.at is not None
    assert row["created_at"].startswith(written.at.strftime("%Y-%m-%d %H:%M:%S"))
    assert row["role"] == 1


def test_the_journal_keeps_the_whole_row_and_why(database: MailDatabase, world: MailWorld) -> None:
    world.execute(f"ALTER TABLE {ACCESS} ADD COLUMN note text")
    set_up = scene(world)
    world.execute(f"UPDATE {ACCESS} SET note = 'by hand'")
    image = next(row for row in map(json.loads, world.rows_of(ACCESS)) if UUID(row["id"]) == UUID(set_up.leaving.id))
    written = write(database, set_up.changes)
    entries = {str(entry.what): entry for entry in database.journal()}
    assert set(entries) == {"granted", "adopted", "revoked", "claimed"}
    revoked = entries["revoked"]
    assert revoked.image["note"] == "by hand"
    assert {str(value).replace("T", " ") for value in revoked.image.values()} == {
        str(value) for value in image.values()
    }
    assert revoked.image.keys() == image.keys()
    assert (revoked.at, revoked.domain, revoked.reason) == (written.at, X, "NotEntitled")
    assert (revoked.user, revoked.access) == (set_up.leaving.user, set_up.leaving.id)
    assert revoked.sources == (SOURCE,)
    assert revoked.case == case(set_up.leaving).id
    assert revoked.evidence == case(set_up.leaving).evidence
    assert revoked.holder == database.holder
    granted = entries["granted"]
    assert granted.image["user_id"] == set_up.newcomer
    assert granted.image["role"] == 1
    assert granted.image["id"] == granted.access
    assert entries["claimed"].image == {"resource": "default/x-fr"}


def test_the_journal_keeps_the_hold_whose_approval_let_somebody_in(database: MailDatabase, world: MailWorld) -> None:
    set_up = scene(world)
    grants = tuple(replace(one, hold="hold-1") for one in set_up.changes.grants)
    adoptions = tuple(replace(one, hold="hold-2") for one in set_up.changes.adoptions)
    write(database, replace(set_up.changes, grants=grants, adoptions=adoptions))
    holds = {str(entry.what): entry.hold for entry in database.journal()}
    assert (holds["granted"], holds["adopted"]) == ("hold-1", "hold-2")
    assert [str(entry.what) for entry in database.journal(Selection(hold="hold-1"))] == ["granted"]
    assert not database.removals(Selection(hold="hold-1")), "nothing of it was a removal"


def test_an_emergency_revocation_needs_no_case(database: MailDatabase, world: MailWorld) -> None:
    leaving = scene(world).leaving
    write(database, Changes(revocations=(Revocation(leaving, X, (SOURCE,), Denied()),)))
    (entry,) = database.journal()
    assert (entry.reason, entry.case, entry.evidence) == ("Denied", None, ())


def test_in_sync_is_no_statement(database: MailDatabase) -> None:
    with watched(database) as seen:
        written = database.write(Changes(), epoch=0)
    assert seen.sent == []
    assert (written.granted, written.revoked, written.adopted, written.at) == (0, 0, 0, None)


def test_grants_come_before_revocations_and_both_before_commit(database: MailDatabase, world: MailWorld) -> None:
    changes = scene(world).changes
    with database.seized() as epoch, watched(database) as seen:
        database.write(changes, epoch=epoch)
        sent = list(seen.sent)
    order = [statement.split("(")[0].split("WHERE")[0].strip() for statement in sent]
    assert order.index(f"INSERT INTO {ACCESS}") < order.index(f"DELETE FROM {ACCESS}")
    assert order[-1] == "COMMIT"
    assert sum(ACCESS in statement and not statement.startswith("SELECT") for statement in order) == 2


def test_the_number_of_statements_does_not_grow_with_users(database: MailDatabase, world: MailWorld) -> None:
    counts = []
    database.snapshot((), ())
    for size in (10, 1_000):
        people, places = world.population(size, 0, 0)[0], [world.domain(f"w{size}-{n}.fr") for n in range(10)]
        grants = tuple(
            grant(user, places[number % 10], f"w{size}-{number % 10}.fr") for number, user in enumerate(people)
        )
        with database.seized() as epoch:
            with watched(database) as seen:
                database.write(Changes(grants=grants), epoch=epoch)
            counts.append(len(seen.sent))
            rows = [
                row for rows in database.snapshot({item.name for item in grants}, ()).accesses.values() for row in rows
            ]
            names = {item.domain: item.name for item in grants}
            with watched(database) as seen:
                database.write(
                    Changes(
                        revocations=tuple(revocation(row, names[row.domain]) for row in rows),
                        cases=tuple(case(row, CaseState.EXECUTED) for row in rows),
                    ),
                    epoch=epoch,
                )
            counts.append(len(seen.sent))
    assert counts[:2] == counts[2:]


def test_a_second_write_of_the_same_state_replaces_cases_holds_and_claims(
    database: MailDatabase, world: MailWorld
) -> None:
    set_up = scene(world)
    write(database, set_up.changes)
    shrunk = replace(hold(set_up.kept), accesses=frozenset(), approved=True)
    write(
        database,
        Changes(
            cases=(case(set_up.kept, CaseState.APPROVED, hold="hold-1"),),
            holds=(shrunk,),
            claims=((X, ResourceKey("other", "x")),),
            forgotten=(set_up.kept.id,),
        ),
    )
    seen = database.snapshot({X}, ())
    assert [item.state for item in seen.cases] == [CaseState.APPROVED]
    assert seen.holds == (shrunk,)
    assert seen.claims[X].resource == ResourceKey("other", "x")
    assert set_up.kept.id not in seen.ledger


def test_a_row_that_comes_back_replaces_its_ledger_entry(database: MailDatabase, world: MailWorld) -> None:
    set_up = scene(world)
    write(database, set_up.changes)
    seen = database.snapshot({X}, ())
    (row,) = [row for row in seen.accesses[set_up.domain] if row.user == set_up.newcomer]
    world.execute(f"DELETE FROM {ACCESS} WHERE role = 1")
    write(database, Changes(grants=(grant(set_up.newcomer, set_up.domain),)))
    again = database.snapshot({X}, ())
    assert row.id not in again.ledger
    assert {item.user for item in again.ledger.values()} >= {set_up.newcomer}


Interference = Callable[[MailWorld, Changes], object]


def rename(world: MailWorld, changes: Changes) -> None:
    world.execute("UPDATE messages_maildomain SET name = 'other.fr'")


def make_alias(world: MailWorld, changes: Changes) -> None:
    world.execute("UPDATE messages_maildomain SET alias_of_id = id")


def deactivate(world: MailWorld, changes: Changes) -> None:
    world.execute("UPDATE messages_user SET is_active = false")


def remove_users(world: MailWorld, changes: Changes) -> None:
    world.execute(f"DELETE FROM {ACCESS}")
    world.execute("DELETE FROM messages_user")


def remove_rows(world: MailWorld, changes: Changes) -> None:
    world.execute(f"DELETE FROM {ACCESS}")


def change_roles(world: MailWorld, changes: Changes) -> None:
    world.execute(f"UPDATE {ACCESS} SET role = 2")


def recreate_rows(world: MailWorld, changes: Changes) -> None:
    """The same holdings under new ids: no longer the rows that were judged."""
    rows = [change.access for change in changes.adoptions] + [change.access for change in changes.revocations]
    world.execute(f"DELETE FROM {ACCESS}")
    for row in rows:
        world.admin(row.user, row.domain)


def grant_by_hand(world: MailWorld, changes: Changes) -> None:
    for item in changes.grants:
        world.admin(item.user, item.domain)


def grant_another_role(world: MailWorld, changes: Changes) -> None:
    for item in changes.grants:
        world.admin(item.user, item.domain, role=2)


def claim_for_another_owner(world: MailWorld, changes: Changes) -> None:
    with opened(world.url, owner="other") as other:
        write(other, Changes(claims=((X, ResourceKey("theirs", "x")),)))


@pytest.mark.parametrize(
    "interfere",
    [
        rename,
        make_alias,
        deactivate,
        remove_users,
        remove_rows,
        change_roles,
        recreate_rows,
        grant_by_hand,
        grant_another_role,
        claim_for_another_owner,
    ],
)
def test_any_difference_to_the_plan_writes_nothing(
    database: MailDatabase, world: MailWorld, interfere: Interference
) -> None:
    changes = scene(world).changes
    with database.seized() as epoch:
        interfere(world, changes)
        before = world.dump(), world.dump_own()
        with pytest.raises(PlanOutdated):
            database.write(changes, epoch=epoch)
    assert (world.dump(), world.dump_own()) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda set_up: Changes(adoptions=set_up.changes.adoptions),
        lambda set_up: Changes(revocations=set_up.changes.revocations),
    ],
    ids=["adoption", "revocation"],
)
@pytest.mark.parametrize("interfere", [remove_rows, change_roles, recreate_rows])
def test_each_kind_of_change_checks_its_own_row(
    database: MailDatabase, world: MailWorld, change: Callable[[Scene], Changes], interfere: Interference
) -> None:
    changes = change(scene(world))
    with database.seized() as epoch:
        interfere(world, changes)
        before = world.dump(), world.dump_own()
        with pytest.raises(PlanOutdated):
            database.write(changes, epoch=epoch)
    assert (world.dump(), world.dump_own()) == before


def test_a_user_or_domain_that_never_was_is_refused(database: MailDatabase, world: MailWorld) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for item in (grant(nobody, world.domain()), grant(world.user(), nobody)):
        before = world.dump(), world.dump_own()
        with pytest.raises(PlanOutdated):
            write(database, Changes(grants=(item,)))
        assert (world.dump(), world.dump_own()) == before


def test_a_domain_under_another_name_is_refused(database: MailDatabase, world: MailWorld) -> None:
    twin = world.domain("X.FR")
    with pytest.raises(PlanOutdated):
        write(database, Changes(grants=(grant(world.user(), twin),)))


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_foreign_key_that_fails_at_commit_writes_nothing(database: MailDatabase, world: MailWorld) -> None:
    """The user goes after the row was inserted; PostgreSQL finds out at COMMIT. SQLite lets nobody in meanwhile."""
    user, domain = world.user(), world.domain()

    def interfere(statement: str) -> None:
        if statement == "COMMIT":
            world.execute("DELETE FROM messages_user")

    with database.seized() as epoch:
        own = world.dump_own()
        with at_each_statement(database, interfere), pytest.raises(PlanOutdated, match="23503"):
            database.write(Changes(grants=(grant(user, domain),)), epoch=epoch)
    assert world.dump()[ACCESS] == []
    assert world.dump_own() == own


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_the_same_row_granted_by_somebody_else_meanwhile(database: MailDatabase, world: MailWorld) -> None:
    user, domain = world.user(), world.domain()

    def interfere(statement: str) -> None:
        if statement.startswith(f"INSERT INTO {ACCESS}"):
            world.admin(user, domain)

    with database.seized() as epoch:
        own = world.dump_own()
        with at_each_statement(database, interfere), pytest.raises(PlanOutdated, match="23505"):
            database.write(Changes(grants=(grant(user, domain),)), epoch=epoch)
    assert len(world.dump()[ACCESS]) == 1
    assert world.dump_own() == own


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_row_that_goes_between_check_and_removal(database: MailDatabase, world: MailWorld) -> None:
    changes = Changes(revocations=scene(world).changes.revocations)

    def interfere(statement: str) -> None:
        if statement.startswith(f"DELETE FROM {ACCESS}"):
            world.execute(f"UPDATE {ACCESS} SET role = 2")

    with database.seized() as epoch:
        own = world.dump_own()
        with at_each_statement(database, interfere), pytest.raises(PlanOutdated):
            database.write(changes, epoch=epoch)
    assert len(world.dump()[ACCESS]) == 3
    assert world.dump_own() == own


def test_two_owners_that_claim_one_domain_at_once(world: MailWorld, database_url: str) -> None:
    """Whoever commits first has it; the other one's grants are not written either."""
    domain = world.domain()
    outcomes: list[object] = []
    start = threading.Barrier(2)

    def claim(owner: str, user: str) -> None:
        changes = Changes(grants=(grant(user, domain),), claims=((X, ResourceKey(owner, "x")),))
        with opened(database_url, owner=owner) as mine, mine.seized() as epoch:
            start.wait()
            try:
                outcomes.append(mine.write(changes, epoch=epoch).granted)
            except PlanOutdated as error:
                outcomes.append(error)

    threads = [threading.Thread(target=claim, args=(owner, world.user())) for owner in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["PlanOutdated", "int"]
    assert len(world.admins_of(domain)) == 1


def test_a_write_does_not_wait_for_ever(database: MailDatabase, world: MailWorld) -> None:
    claims = scene(world).changes.claims
    with database.seized() as epoch, watched(database) as seen:
        database.write(Changes(claims=claims), epoch=epoch)
    if world.dialect == "postgresql":
        assert any("lock_timeout" in statement and "idle_in_transaction" in statement for statement in seen.sent)
    else:
        assert "BEGIN IMMEDIATE" in seen.sent


def test_names_of_several_domains_in_one_transaction(database: MailDatabase, world: MailWorld) -> None:
    user = world.user()
    places = {f"d{number}.fr": world.domain(f"d{number}.fr") for number in range(5)}
    grants = tuple(Grant(place, DomainName(name), user, (SOURCE,)) for name, place in places.items())
    row = access(world.admin(world.user(), places["d0.fr"]), "", "")
    assert write(database, Changes(grants=grants)).granted == 5
    assert {entry.domain for entry in database.journal(Selection(since=timedelta(hours=1)))} == set(places)
    assert row.id not in database.snapshot((), ()).ledger


def test_an_adopted_row_is_not_touched(database: MailDatabase, world: MailWorld) -> None:
    kept = scene(world).kept
    before = world.dump()
    assert write(database, Changes(adoptions=(adoption(kept),))).adopted == 1
    assert world.dump() == before
