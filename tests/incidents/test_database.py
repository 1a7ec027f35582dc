"""What went wrong elsewhere while effects were written, and does not here. Numbers as in the list of incidents."""

import itertools
import shutil
from pathlib import Path

import pytest
from sqlalchemy import make_url

from controller.engine.world import Kind
from controller.errors import DatabaseUnavailable, PlanOutdated
from controller.maildb.database import MailDatabase
from controller.planning.changes import Changes
from controller.resources.names import DomainName
from controller.settings import Settings
from tests.support.changes import grant, scene
from tests.support.database import MailWorld, at_each_statement, opened
from tests.support.operating import Operating, admins
from tests.support.towns import rows, settle_town


def test_incident_14_a_paused_writer_that_resumes_writes_nothing(database_url: str, world: MailWorld) -> None:
    """Two actors: a leader that slept through its lease goes on with the plan that it had."""
    changes = scene(world).changes
    with opened(database_url, holder="old") as old, opened(database_url, holder="new") as new:
        epoch = old.acquire()
        assert epoch is not None
        assert new.acquire() is None, "one at a time"
        world.execute("UPDATE mdc_fence SET expires_at = '2020-01-01 00:00:00.000000'")
        assert new.acquire() == epoch + 1
        before = world.dump(), world.dump_own()
        with pytest.raises(PlanOutdated):
            old.write(changes, epoch=epoch)
        with pytest.raises(PlanOutdated):
            old.write(changes, epoch=epoch + 1)
        assert (world.dump(), world.dump_own()) == before


def test_incident_14_there_is_no_default_owner() -> None:
    """Two installs had the same default owner and fought: `run` needs a name."""
    assert Settings.model_fields["owner"].default is None


def test_incident_17_nobody_ever_sees_a_domain_without_its_administrators(
    database: MailDatabase, world: MailWorld
) -> None:
    """Revoke, then grant, left a window: a reader beside us sees the state before or the one after."""
    set_up = scene(world)
    seen: list[set[str]] = []
    writes: list[str] = []

    def look(statement: str) -> None:
        seen.append(world.admins_of(set_up.domain))
        verb = statement.split(maxsplit=1)[0]
        if "messages_maildomainaccess" in statement and verb != "SELECT":
            writes.append(verb)

    before = world.admins_of(set_up.domain)
    with database.seized() as epoch, at_each_statement(database, look):
        database.write(set_up.changes, epoch=epoch)
    assert all(admins == before for admins in seen)
    assert writes == ["INSERT", "DELETE"], "grants first, revocations last"


async def test_incident_20_a_write_that_failed_half_way_forgets_nobody(operating: Operating, world: MailWorld) -> None:
    """A partial prune forgot its survivors: cut at each statement in turn, what is ours is what stands."""
    await settle_town(operating, world, 30)
    for email in [email for email in sorted(operating.source.says) if "-0@d0000" in email][:5]:
        operating.source.says[email] = frozenset()
    await operating.settle(operating.desk.interval)
    cuts = 0
    for at in itertools.count():
        sent = itertools.count()

        def cut(statement: str, at: int = at, sent: "itertools.count[int]" = sent) -> None:
            if next(sent) == at:
                raise DatabaseUnavailable("the connection was cut")

        try:
            with at_each_statement(operating.database, cut):
                await operating.settle(31)
        except DatabaseUnavailable:
            cuts += 1
            await operating.restart()
            assert owned(operating.database) == len(rows(world))
        else:
            break
    await operating.wave()
    await operating.wave()
    assert cuts > 10
    assert len(rows(world)) == owned(operating.database) == 55


def owned(database: MailDatabase) -> int:
    """How many standing rows are ours."""
    snapshot = database.snapshot({DomainName(f"d{number:05d}.fr") for number in range(30)}, ())
    standing = {row.id for found in snapshot.accesses.values() for row in found}
    assert set(snapshot.ledger) <= standing
    return len(snapshot.ledger)


async def test_incident_21_after_a_restore_nobody_loses_what_they_are_entitled_to(
    operating: Operating, world: MailWorld, tmp_path: Path
) -> None:
    """Yesterday's dump came back under a running controller: it is seen, nothing is decided, and plans start over."""
    await settle_town(operating, world, 4)
    path, dump = str(make_url(world.url).database), tmp_path / "yesterday"
    shutil.copyfile(path, dump)
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    world.user("new@d00002.fr")
    operating.source.says["new@d00002.fr"] = frozenset({"d00002.fr"})
    await operating.wave()
    assert len(rows(world)) == 8
    snapshot = operating.database.snapshot({DomainName("d00003.fr")}, ())
    planned = Changes(grants=(grant(world.user("late@x.fr"), snapshot.domains[3].id, "d00003.fr"),))
    shutil.copyfile(dump, path)
    before = world.dump()
    with pytest.raises(PlanOutdated):
        operating.database.write(planned, epoch=snapshot.epoch)
    assert world.dump() == before
    world.user("new@d00002.fr")
    await operating.settle(2)
    await operating.wave()
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr", "Reconciling") == ("False", "Frozen")
    assert rows(world) == before["messages_maildomainaccess"], "nothing before somebody has looked"
    assert operating.database.lift_freeze()
    await operating.settle(2)
    await operating.wave()
    assert (admins(world, "d00001.fr"), admins(world, "d00002.fr")) == (1, 3)
    assert owned(operating.database) == 8
