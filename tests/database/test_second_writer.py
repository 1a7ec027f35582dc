"""What the journal and the ledger remember: who else writes, and under which e-mail a row became ours."""

import pytest

from controller.maildb.database import MailDatabase
from controller.planning.changes import Changes, Denied, Revocation
from controller.planning.facts import Access, Contest, Holding, Seal
from controller.resources.names import DomainName, Email
from tests.support.changes import SOURCE, access, grant, revocation, write
from tests.support.database import MailWorld, opened

X = DomainName("x.fr")


@pytest.fixture
def pair(world: MailWorld) -> Holding:
    """Somebody and a domain."""
    return Holding(world.domain("x.fr"), world.user("ada@x.fr"))


def give(database: MailDatabase, pair: Holding) -> Access:
    write(database, Changes(grants=(grant(pair.user, pair.domain),)))
    (row,) = database.snapshot({X}, ()).accesses[pair.domain]
    return row


def vanish(database: MailDatabase, world: MailWorld, row: Access) -> None:
    world.execute("DELETE FROM messages_maildomainaccess")
    write(database, Changes(forgotten=(row.id,)))


def age(world: MailWorld, hours: int) -> None:
    """What was written is older by so much."""
    table, earlier = {
        "postgresql": ("maildomain_controller.journal", f"at - interval '{hours} hours'"),
        "sqlite": ("mdc_journal", f"strftime('%Y-%m-%d %H:%M:%f', at, '-{hours} hours') || '000'"),
    }[world.dialect]
    world.execute(f"UPDATE {table} SET at = {earlier}")


def contests(database: MailDatabase) -> dict[Holding, Contest]:
    return dict(database.snapshot({X}, ()).contests)


def test_a_row_that_was_written_three_times_is_conspicuous(
    database: MailDatabase, world: MailWorld, pair: Holding
) -> None:
    for _ in range(2):
        vanish(database, world, give(database, pair))
        assert contests(database) == {}
    give(database, pair)
    assert contests(database) == {pair: Contest(vanished=True)}
    with opened(world.url, owner="other") as other:
        other.migrate()
        assert contests(other) == {}


def test_what_we_removed_ourselves_did_not_vanish(database: MailDatabase, world: MailWorld, pair: Holding) -> None:
    for _ in range(3):
        write(database, Changes(revocations=(revocation(give(database, pair)),)))
    assert contests(database) == {pair: Contest(removed=True)}
    give(database, pair)
    assert contests(database) == {}


def test_an_emergency_removal_is_no_contest(database: MailDatabase, world: MailWorld, pair: Holding) -> None:
    row = access(world.admin(pair.user, pair.domain), pair.user, pair.domain)
    write(database, Changes(revocations=(Revocation(row, X, (SOURCE,), Denied()),)))
    assert contests(database) == {}


def test_after_a_day_it_is_tried_again(database: MailDatabase, world: MailWorld, pair: Holding) -> None:
    for _ in range(3):
        vanish(database, world, give(database, pair))
    for hours, found in ((23, {pair: Contest(vanished=True)}), (2, {})):
        age(world, hours)
        assert contests(database) == found


def test_the_ledger_keeps_the_sealed_e_mail_and_one_database_has_one_key(
    database: MailDatabase, world: MailWorld, pair: Holding
) -> None:
    seal = database.snapshot((), ()).seal
    assert isinstance(seal, Seal)
    sealed = seal.of(Email("ada@x.fr"))
    planned = grant(pair.user, pair.domain)
    write(database, Changes(grants=(type(planned)(planned.domain, X, planned.user, (SOURCE,), identity=sealed),)))
    (owned,) = database.snapshot({X}, ()).ledger.values()
    assert owned.identity == sealed
    assert "@" not in "".join(world.dump_own()["access_ledger"])
    database.migrate()
    assert database.snapshot((), ()).seal == seal
