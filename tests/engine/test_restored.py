"""What becomes of a database that was restored from an older dump? Nothing, until somebody has looked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.engine.world import Kind
from controller.maildb.database import MailDatabase
from tests.support.database import MailWorld, opened
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
