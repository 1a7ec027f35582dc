"""What becomes of a database that was restored from an older dump? Nothing, until somebody has looked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller.engine.world import Kind
from controller.maildb.database import MailDatabase
from tests.support.database import MailWorld, opened
from tests.support.dumps import dumped
from tests.support.operating import Operating, admins, town


@asynccontextmanager
async def restarted(operating: Operating, world: MailWorld) -> AsyncIterator[Operating]:
    """Another process on the same cluster and database."""
    await end(operating)
    with opened(world.url, owner=operating.database.owner) as database:
        process = Operating(database, *operating.sources, world=operating.world)
        yield process
        await end(process)


async def end(process: Operating) -> None:
    """Give the lease back, as at a clean stop."""
    await process.reign.close()
    process.database.release(process.database.snapshot((), ()).epoch)


def restore(world: MailWorld, terms: int) -> None:
    """Take the database back to what it was so many terms ago."""
    table = "maildomain_controller.fence" if world.dialect == "postgresql" else "mdc_fence"
    world.execute(f"UPDATE {table} SET epoch = epoch - {terms}")


def reconciling(operating: Operating) -> tuple[str, str]:
    """What a domain says."""
    return operating.world.condition(Kind.DOMAIN, "d00001-fr", "Reconciling")


@pytest.mark.parametrize("terms", [1, 3])
async def test_a_restored_database_is_left_alone_until_somebody_has_looked(
    operating: Operating, world: MailWorld, terms: int
) -> None:
    await town(operating, world, 3)
    async with restarted(operating, world) as second, restarted(second, world) as third:
        await third.settle()
    restore(world, terms)
    operating.source.says["u00001-0@d00001.fr"] = frozenset({"d00002.fr"})
    async with restarted(operating, world) as process:
        await process.settle()
        await process.wave()
        assert reconciling(process) == ("False", "Frozen")
        assert len(world.rows_of("messages_maildomainaccess")) == 6, "nothing granted, nothing revoked"
    async with restarted(operating, world) as process:
        await process.settle()
        await process.wave()
        assert reconciling(process) == ("False", "Frozen"), "a restart is no approval"
        assert process.database.lift_freeze()
        await process.settle()
        await process.wave()
        assert reconciling(process) == ("False", "Reconciled")
        assert (admins(world, "d00001.fr"), admins(world, "d00002.fr")) == (1, 3)
    async with restarted(operating, world) as process:
        await process.settle()
        assert reconciling(process) == ("False", "Reconciled"), "it is the database that is known now"


async def test_whoever_has_lost_the_lease_takes_the_epoch_of_another_for_no_restore(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 3)
    operating.database.release(operating.database.snapshot((), ()).epoch)
    with opened(world.url, owner=operating.database.owner) as database:
        process = Operating(database, *operating.sources, world=operating.world)
        await process.settle()
        operating.reign.notice()
        await operating.reign.turn()
        assert database.snapshot((), ()).freeze is None
        await end(process)


async def test_restarts_commands_and_terms_of_the_same_database_freeze_nothing(
    operating: Operating, world: MailWorld, database: MailDatabase
) -> None:
    await town(operating, world, 3)
    with database.seized():
        pass
    await operating.settle(2)
    await operating.restart()
    await operating.settle()
    async with restarted(operating, world) as process:
        await process.settle()
        assert reconciling(process) == ("False", "Reconciled")
        assert process.world.status(Kind.SOURCE, "deploycenter")["epoch"] == process.database.snapshot((), ()).epoch


LATE = "u00001-0@d00001.fr"
WHERE_SHE_IS_NOW = frozenset({"d00002.fr"})


async def move(operating: Operating, world: MailWorld) -> None:
    """Somebody administers another domain from now on."""
    operating.source.says[LATE] = WHERE_SHE_IS_NOW
    await operating.settle(2)
    await operating.wave()
    assert (admins(world, "d00001.fr"), admins(world, "d00002.fr")) == (1, 3)


def grow_old(world: MailWorld) -> None:
    """The dump was taken long ago: the lease in it has ended."""
    table = "maildomain_controller.fence" if world.dialect == "postgresql" else "mdc_fence"
    world.execute(f"UPDATE {table} SET expires_at = '2026-01-01 00:00:00.000000'")


@pytest.mark.parametrize("running", [True, False], ids=["under a running process", "while nobody works"])
async def test_a_dump_of_the_same_term_is_seen_by_what_its_journal_lacks(
    operating: Operating, world: MailWorld, tmp_path: Path, running: bool
) -> None:
    await town(operating, world, 3)
    put_back = dumped(world.url, tmp_path)
    await move(operating, world)
    if not running:
        await end(operating)
    put_back()
    grow_old(world)
    rows = world.dump()
    async with restarted(operating, world) if not running else still(operating) as process:
        # A turn may come before the lease is taken again.
        await process.reign.turn()
        await process.settle(2)
        await process.wave()
        assert reconciling(process) == ("False", "Frozen")
        assert world.dump() == rows
        assert process.database.lift_freeze()
        await process.settle(2)
        await process.wave()
        await process.wave()
        assert reconciling(process) == ("False", "Reconciled")
        assert (admins(world, "d00001.fr"), admins(world, "d00002.fr")) == (1, 3)


@asynccontextmanager
async def still(operating: Operating) -> AsyncIterator[Operating]:
    """The same process."""
    yield operating
