"""Hints wait a few seconds, are taken once, and leave nothing behind."""

from datetime import timedelta

import pytest

from controller.errors import MigrationNeeded
from controller.maildb import hints as hinting
from controller.maildb.database import MailDatabase
from controller.planning.facts import Hint
from controller.resources.names import DomainName, Email
from tests.support.database import MailWorld, opened, watched

ANNA, BERT = Email("Anna@X.example"), Email("bert@x.example")
X = DomainName("x.example")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints are due as soon as they are noted."""
    monkeypatch.setattr(hinting, "DELAY", timedelta())


def waiting(world: MailWorld) -> list[dict[str, object]]:
    table = "maildomain_controller.hint" if world.dialect == "postgresql" else "mdc_hint"
    return world.execute(f"SELECT owner, kind, subject FROM {table} ORDER BY kind, subject")


def age(world: MailWorld, modifier: str) -> None:
    """Make hints older than they are."""
    if world.dialect == "postgresql":
        world.execute(f"UPDATE maildomain_controller.hint SET due_at = due_at - interval '{modifier}'")
    else:
        world.execute(f"UPDATE mdc_hint SET due_at = strftime('%Y-%m-%d %H:%M:%f000', due_at, '-{modifier}')")


def test_a_hint_is_not_taken_before_its_time(database: MailDatabase, world: MailWorld) -> None:
    assert database.note_hints({ANNA, X}) == 2
    assert database.take_hints() == frozenset()

    age(world, "5 seconds")
    assert database.take_hints() == {Email("anna@x.example"), X}


def test_what_was_taken_is_gone(database: MailDatabase, world: MailWorld, at_once: None) -> None:
    database.note_hints({ANNA, BERT, X})

    assert len(database.take_hints()) == 3
    assert waiting(world) == []
    assert database.take_hints() == frozenset()


def test_the_same_hint_waits_once_however_it_is_spelled_and_waits_anew(
    database: MailDatabase, world: MailWorld
) -> None:
    database.note_hints({ANNA})
    age(world, "5 seconds")
    database.note_hints({Email("ANNA@x.example"), Email("anna@x.EXAMPLE")})

    assert [row["subject"] for row in waiting(world)] == ["anna@x.example"]
    assert database.take_hints() == frozenset(), "the change behind the second one may not be committed yet"


def test_nothing_is_written_when_nothing_is_due(database: MailDatabase) -> None:
    database.note_hints({ANNA})

    with watched(database) as statements:
        database.take_hints()
    assert statements.writes == []


def test_the_number_of_statements_does_not_grow_with_the_hints(database: MailDatabase, at_once: None) -> None:
    counts = []
    for number in (1, 500):
        with watched(database) as statements:
            database.note_hints({Email(f"u{user}@x.example") for user in range(number)})
            database.take_hints()
        counts.append(len(statements.writes))
    assert counts[0] == counts[1]


def test_only_so_many_wait_and_the_rest_is_told(
    database: MailDatabase, world: MailWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hinting, "MOST", 10)
    crowd: set[Hint] = {Email(f"u{number}@x.example") for number in range(8)}
    assert database.note_hints(crowd) == 8

    assert database.note_hints({Email(f"v{number}@x.example") for number in range(8)}) == 2
    assert database.note_hints({X}) == 0
    assert len(waiting(world)) == 10


def test_what_nobody_takes_is_deleted_by_age(database: MailDatabase, world: MailWorld) -> None:
    database.note_hints({ANNA})
    age(world, "3700 seconds")
    database.note_hints({X})

    assert [row["subject"] for row in waiting(world)] == ["x.example"]


def test_owners_do_not_take_each_others_hints(database: MailDatabase, database_url: str, at_once: None) -> None:
    database.note_hints({ANNA})

    with opened(database_url, owner="other") as other:
        assert other.take_hints() == frozenset()
    assert len(database.take_hints()) == 1


def test_without_our_tables_there_is_nowhere_to_wait(bare_url: str) -> None:
    with opened(bare_url) as database:
        with pytest.raises(MigrationNeeded):
            database.note_hints({ANNA})
        with pytest.raises(MigrationNeeded):
            database.take_hints()
