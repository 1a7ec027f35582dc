"""What stops every write: a row that anybody may set with plain SQL, looked for inside the writing transaction."""

import threading

import pytest

from controller.errors import Frozen
from controller.maildb.database import MailDatabase
from tests.support.changes import scene, write
from tests.support.database import MailWorld, opened, watched


def frozen(dialect: str) -> str:
    return "maildomain_controller.frozen" if dialect == "postgresql" else "mdc_frozen"


def test_a_freeze_between_plan_and_write_writes_nothing(database: MailDatabase, world: MailWorld, dialect: str) -> None:
    changes = scene(world).changes
    with database.seized() as epoch:
        before = world.dump(), world.dump_own()["journal"], world.dump_own()["hold"]
        world.execute(f"INSERT INTO {frozen(dialect)} (reason) VALUES ('by hand')")
        with pytest.raises(Frozen), watched(database) as seen:
            database.write(changes, epoch=epoch)
    assert (world.dump(), world.dump_own()["journal"], world.dump_own()["hold"]) == before
    assert seen.writes == []


def test_the_freeze_of_plain_sql_is_seen_by_snapshot_pulse_and_status(
    database: MailDatabase, world: MailWorld, dialect: str
) -> None:
    before = database.pulse()
    assert database.snapshot((), ()).freeze is None
    world.execute(f"INSERT INTO {frozen(dialect)} (reason) VALUES ('by hand')")
    seen = database.snapshot((), ()).freeze
    assert seen is not None
    assert seen.reason == "by hand"
    assert seen.since is not None
    assert abs((database.status_facts().now - seen.since).total_seconds()) < 60
    assert database.pulse() != before
    assert database.status_facts().freeze == seen
    world.execute(f"DELETE FROM {frozen(dialect)}")
    assert database.pulse() == before


def test_a_freeze_stops_every_owner_until_it_is_lifted(database: MailDatabase, world: MailWorld) -> None:
    changes = scene(world).changes
    with opened(world.url, owner="other") as other:
        other.migrate()
        other.freeze(None)
        other.freeze("again")
    with pytest.raises(Frozen):
        write(database, changes)
    assert database.lift_freeze() is True
    assert database.lift_freeze() is False
    assert write(database, changes).granted == 1


def test_a_process_that_is_frozen_by_its_setting_writes_nothing(world: MailWorld) -> None:
    changes = scene(world).changes
    process = MailDatabase(lambda: world.url, owner="test", frozen=True)
    before = world.dump()
    with pytest.raises(Frozen):
        write(process, changes)
    assert world.dump() == before
    seen = process.snapshot((), ()).freeze
    assert seen is not None
    assert seen.since is None
    process.close()


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_whoever_waits_for_writes_returns_when_the_last_one_has_ended(database: MailDatabase, world: MailWorld) -> None:
    database.acquire()
    waited = threading.Event()

    def wait() -> None:
        with opened(world.url) as other:
            other.await_writes()
        waited.set()

    waiting = threading.Thread(target=wait)
    with world.session() as connection:
        connection.exec_driver_sql("SELECT epoch FROM maildomain_controller.fence FOR UPDATE")
        waiting.start()
        assert not waited.wait(0.3)
    waiting.join()
    assert waited.is_set()
