"""How removals are undone: to the byte, with their ownership, in one transaction or not at all."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from controller.engine.rollback import release, undo
from controller.errors import Frozen, PlanOutdated
from controller.maildb.database import MailDatabase
from controller.maildb.journal import Selection
from controller.planning.changes import Changes, Denied, Revocation
from controller.planning.facts import Access, Activity, CaseState, Origin
from controller.planning.restoring import SkipReason
from controller.resources.names import DomainName
from tests.support.changes import SOURCE, access, adoption, case, revocation, write
from tests.support.database import MailWorld, opened, watched

X = DomainName("x.fr")
ACCESS = "messages_maildomainaccess"
HOUR = Selection(since=timedelta(hours=1))


def leave(database: MailDatabase, world: MailWorld, people: int = 3, name: str = "x.fr") -> list[Access]:
    """People whose rows were adopted, and then removed by an approved hold."""
    domain = world.domain(name)
    users = [world.user(f"u{number}@{name}") for number in range(people)]
    rows = [access(world.admin(user, domain), user, domain) for user in users]
    write(database, Changes(adoptions=tuple(adoption(row, name) for row in rows)))
    remove(database, rows, name)
    return rows


def remove(database: MailDatabase, rows: list[Access], name: str = "x.fr") -> None:
    removals = []
    for row in rows:
        item = revocation(row, name)
        assert not isinstance(item.proof, Denied)
        removals.append(replace(item, proof=replace(item.proof, case=replace(item.proof.case, hold="hold-1"))))
    write(database, Changes(revocations=tuple(removals), cases=tuple(case(row, CaseState.EXECUTED) for row in rows)))


@pytest.mark.parametrize("selection", [HOUR, Selection(hold="hold-1"), Selection(since=timedelta(hours=1), domain=X)])
def test_what_was_removed_comes_back_to_the_byte_with_its_ownership(
    database: MailDatabase, world: MailWorld, selection: Selection
) -> None:
    kind = "jsonb" if world.dialect == "postgresql" else "text"
    world.execute(f"ALTER TABLE {ACCESS} ADD COLUMN note {kind}")
    world.execute(f"ALTER TABLE {ACCESS} ADD COLUMN ratio double precision")
    domain, user, other = world.domain("x.fr"), world.user("ada@x.fr"), world.user("bob@x.fr")
    rows = [access(world.admin(person, domain), person, domain) for person in (user, other)]
    world.execute(f"""UPDATE {ACCESS} SET note = '{{"by": ["hand", "ça", null, 1.10]}}', ratio = 0.1""")
    round_second = f"UPDATE {ACCESS} SET updated_at = '2024-05-06 07:08:09' WHERE user_id = :user"
    world.execute(round_second, user=bare(world, user))
    write(database, Changes(adoptions=(adoption(rows[0]),)))
    before, ledger = world.rows_of(ACCESS), world.dump_own()["access_ledger"]
    remove(database, rows)
    assert world.rows_of(ACCESS) == []
    shown = undo(database, selection, write=False)
    assert (len(shown.decided.restorations), shown.written, world.rows_of(ACCESS)) == (2, False, [])

    done = undo(database, selection, write=True)

    assert done.written
    assert world.rows_of(ACCESS) == before
    assert world.dump_own()["access_ledger"] == ledger, "what was not ours is not ours now"
    entries = database.journal(limit=2)
    assert {(entry.what, entry.reason, entry.hold) for entry in entries} == {("restored", "Rollback", "hold-1")}
    assert {entry.access for entry in entries} == {row.id for row in rows}
    assert set(database.snapshot({X}, ()).pins) == {row.id for row in rows}
    assert not undo(database, selection, write=True).written, "what came back is there"


def bare(world: MailWorld, key: str) -> str:
    return key if world.dialect == "postgresql" else key.replace("-", "")


def user_gone(world: MailWorld, row: Access) -> None:
    world.execute("DELETE FROM messages_user WHERE id = :id", id=bare(world, row.user))


def user_inactive(world: MailWorld, row: Access) -> None:
    world.execute("UPDATE messages_user SET is_active = false WHERE id = :id", id=bare(world, row.user))


def domain_gone(world: MailWorld, row: Access) -> None:
    world.execute("UPDATE messages_maildomain SET name = 'renamed.fr' WHERE id = :id", id=bare(world, row.domain))


def pair_again(world: MailWorld, row: Access) -> None:
    world.admin(row.user, row.domain, role=7)


def other_columns(world: MailWorld, _: Access) -> None:
    world.execute(f"ALTER TABLE {ACCESS} ADD COLUMN note text")


@pytest.mark.parametrize(
    ("happens", "because", "left"),
    [
        (user_gone, SkipReason.USER_GONE, 1),
        (user_inactive, SkipReason.USER_INACTIVE, 1),
        (domain_gone, SkipReason.DOMAIN_GONE, 2),
        (pair_again, SkipReason.ACCESS_EXISTS, 1),
        (other_columns, SkipReason.COLUMNS_CHANGED, 2),
    ],
)
def test_what_can_not_come_back_is_listed_and_the_rest_is_restored(
    database: MailDatabase,
    world: MailWorld,
    happens: Callable[[MailWorld, Access], None],
    because: SkipReason,
    left: int,
) -> None:
    rows = leave(database, world, people=2)
    happens(world, rows[0])
    decided = undo(database, HOUR, write=True).decided
    assert {item.because for item in decided.skipped} == {because}
    assert (len(decided.skipped), len(decided.restorations)) == (left, 2 - left)


def test_an_emergency_removal_is_not_undone(database: MailDatabase, world: MailWorld) -> None:
    domain, user = world.domain("x.fr"), world.user("ada@x.fr")
    row = access(world.admin(user, domain), user, domain)
    write(database, Changes(revocations=(Revocation(row, X, (SOURCE,), Denied()),)))
    decided = undo(database, HOUR, write=True).decided
    assert [item.because for item in decided.skipped] == [SkipReason.DENIED]
    assert world.rows_of(ACCESS) == []


def test_only_removals_of_this_owner_are_undone(database: MailDatabase, world: MailWorld) -> None:
    leave(database, world)
    with opened(world.url, owner="other") as other:
        other.migrate()
        assert undo(other, HOUR, write=True).decided.changes == Changes()


def test_a_domain_that_would_have_too_many_administrators_is_held_until_exactly_they_are_approved(
    database: MailDatabase, world: MailWorld
) -> None:
    rows = leave(database, world, people=51)
    few = leave(database, world, people=2, name="y.fr")
    first = undo(database, HOUR, write=True)
    assert {item.access.id for item in first.decided.restorations} == {row.id for row in few}
    (hold,) = {item.hold.id for item in first.decided.held}
    assert len(first.decided.held) == 51
    again = undo(database, HOUR, approve=frozenset({hold}), write=True)
    assert {item.access.id for item in again.decided.restorations} == {row.id for row in rows}
    assert hold in database.snapshot((), ()).spent_holds, "an approval serves once"
    remove(database, rows)
    assert len(undo(database, HOUR, approve=frozenset({hold}), write=False).decided.held) == 51


def test_a_release_takes_the_pins_that_are_selected(database: MailDatabase, world: MailWorld) -> None:
    leave(database, world, people=2)
    leave(database, world, people=1, name="y.fr")
    undo(database, HOUR, write=True)
    assert len(release(database, Selection(), write=False).decided.released) == 3
    assert len(database.snapshot((), ()).pins) == 3
    assert len(release(database, Selection(domain=X), write=True).decided.released) == 2
    assert {pin.name for pin in database.snapshot((), ()).pins.values()} == {"y.fr"}
    assert database.status_facts().pins == 1
    assert len(release(database, Selection(hold="another"), write=True).decided.released) == 0
    assert len(release(database, Selection(hold="hold-1"), write=True).decided.released) == 1
    assert {entry.what for entry in database.journal(limit=3)} == {"released"}
    assert not release(database, Selection(), write=True).written


def test_a_freeze_stops_a_rollback_unless_a_person_wants_it_all_the_same(
    database: MailDatabase, world: MailWorld
) -> None:
    leave(database, world)
    database.freeze(None)
    with pytest.raises(Frozen):
        undo(database, HOUR, write=True)
    assert world.rows_of(ACCESS) == []
    assert undo(database, HOUR, write=True, despite_freeze=True).written
    assert len(world.rows_of(ACCESS)) == 3


def test_restored_rows_count_as_there_at_the_start_of_a_window(database: MailDatabase, world: MailWorld) -> None:
    leave(database, world)
    undo(database, HOUR, write=True)
    day = timedelta(hours=24)
    assert database.snapshot({X}, {day}).activity[day][X] == Activity(granted=3, revoked=3)


def test_the_number_of_statements_does_not_grow_with_what_is_restored(database: MailDatabase, world: MailWorld) -> None:
    counts = []
    for people in (2, 40):
        leave(database, world, people=people, name=f"d{people}.fr")
        with watched(database) as seen:
            undo(database, HOUR, write=True)
        counts.append(len(seen.sent))
    assert counts[0] == counts[1]


def test_a_row_that_comes_meanwhile_ends_the_write_with_nothing(database: MailDatabase, world: MailWorld) -> None:
    rows = leave(database, world)
    decided = undo(database, HOUR, write=False).decided
    world.admin(rows[0].user, rows[0].domain)
    before = world.dump(), world.dump_own()
    with pytest.raises(PlanOutdated):
        write(database, decided.changes)
    assert (world.dump(), world.dump_own()) == before


def test_a_take_over_takes_the_pins_along(database: MailDatabase, world: MailWorld) -> None:
    leave(database, world)
    write(database, Changes(claims=((X, SOURCE),)))
    undo(database, HOUR, write=True)
    with opened(world.url, owner="other") as other:
        other.migrate(take_over=X)
        assert len(other.snapshot({X}, ()).pins) == 3
    assert database.snapshot({X}, ()).pins == {}


def test_the_ledger_keeps_how_and_since_when_a_row_was_ours(database: MailDatabase, world: MailWorld) -> None:
    leave(database, world, people=1)
    (kept,) = [entry for entry in database.journal() if entry.what == "adopted"]
    undo(database, HOUR, write=True)
    (owned,) = database.snapshot({X}, ()).ledger.values()
    assert (owned.origin, owned.since) == (Origin.ADOPTED, kept.at)
    (row,) = map(json.loads, world.dump_own()["access_ledger"])
    assert "default/deploycenter" in str(row["sources"])


def test_pruning_keeps_what_is_younger_and_how_far_the_journal_has_come(
    database: MailDatabase, world: MailWorld
) -> None:
    leave(database, world)
    newest, *older = database.journal()
    assert database.prune_journal(timedelta(days=32)) == 0
    assert database.prune_journal(timedelta(0)) == len(older)
    assert database.journal() == (newest,)
    with opened(world.url, owner="other") as other:
        leave(other, world, name="y.fr")
        latest = other.snapshot((), ()).journal
        assert database.snapshot((), ()).journal == newest.id, "what another owner does is none of ours"
        other.prune_journal(timedelta(0))
        assert {entry.id for entry in other.journal()} == {newest.id, latest}
