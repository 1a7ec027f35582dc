"""Who may write: one holder, one command, and an epoch that outdates every older plan (invariant 9)."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from controller.errors import LeaseHeld, PlanOutdated
from controller.maildb import connecting
from controller.maildb.database import MailDatabase
from controller.planning.changes import Changes
from tests.support.changes import grant, write
from tests.support.database import MailWorld, opened

NO_TIME = timedelta(0)


def table(world: MailWorld) -> str:
    return "maildomain_controller.fence" if world.dialect == "postgresql" else "mdc_fence"


def expire(world: MailWorld, column: str = "expires_at") -> None:
    """Let the lease, or the command, have ended long ago."""
    world.execute(f"UPDATE {table(world)} SET {column} = '2020-01-01 00:00:00.000000' WHERE {column} IS NOT NULL")


@pytest.fixture
def other(database_url: str) -> Iterator[MailDatabase]:
    with opened(database_url) as found:
        yield found


@pytest.fixture
def changes(world: MailWorld) -> Changes:
    return Changes(grants=(grant(world.user(), world.domain()),))


def test_one_holder_at_a_time(database: MailDatabase, other: MailDatabase) -> None:
    epoch = database.acquire()
    assert epoch == 1
    assert other.acquire() is None
    assert database.acquire() == epoch
    assert database.renew(epoch) == epoch


def test_two_processes_with_one_name_are_two(database_url: str) -> None:
    with opened(database_url, holder="pod-0") as first, opened(database_url, holder="pod-0") as second:
        assert first.acquire() == 1
        assert second.acquire() is None


def test_an_expired_lease_is_taken_by_raising_the_epoch(
    database: MailDatabase, other: MailDatabase, world: MailWorld
) -> None:
    epoch = database.acquire()
    assert epoch
    expire(world)
    assert other.acquire() == epoch + 1
    assert database.renew(epoch) is None
    assert database.acquire() is None


def test_an_expired_lease_of_ones_own_is_taken_anew(database: MailDatabase, world: MailWorld) -> None:
    epoch = database.acquire()
    assert epoch
    expire(world)
    assert database.renew(epoch) is None
    assert database.acquire() == epoch + 1


def test_a_released_lease_is_free_at_once(database: MailDatabase, other: MailDatabase) -> None:
    epoch = database.acquire()
    assert epoch
    database.release(epoch)
    assert other.acquire() == epoch + 1
    database.release(epoch)
    assert other.renew(epoch + 1) == epoch + 1


def test_renewing_extends_the_lease(database: MailDatabase) -> None:
    epoch = database.acquire()
    assert epoch
    before = database.status_facts().lease.expires_at
    database.renew(epoch)
    after = database.status_facts().lease.expires_at
    assert before is not None
    assert after is not None
    assert after > before


def test_a_restored_older_database_ends_the_lease(database: MailDatabase, world: MailWorld) -> None:
    epoch = database.acquire()
    assert epoch
    world.execute(f"UPDATE {table(world)} SET epoch = 0")
    assert database.renew(epoch) is None


def test_a_process_that_was_paused_writes_nothing(
    database: MailDatabase, other: MailDatabase, world: MailWorld, changes: Changes
) -> None:
    epoch = database.acquire()
    assert epoch
    expire(world)
    taken = other.acquire()
    assert taken
    before = world.dump(), world.dump_own()
    for guess in (epoch, taken):
        with pytest.raises(PlanOutdated):
            database.write(changes, epoch=guess)
    assert (world.dump(), world.dump_own()) == before
    assert other.write(changes, epoch=taken).granted == 1


def test_an_older_epoch_writes_nothing_even_for_the_holder(
    database: MailDatabase, world: MailWorld, changes: Changes
) -> None:
    first = database.acquire()
    assert first
    expire(world)
    second = database.acquire()
    assert second
    with pytest.raises(PlanOutdated):
        database.write(changes, epoch=first)
    assert database.write(changes, epoch=second).granted == 1


def test_without_a_lease_nothing_is_written(database: MailDatabase, changes: Changes) -> None:
    for epoch in (0, 1):
        with pytest.raises(PlanOutdated):
            database.write(changes, epoch=epoch)


def test_a_command_outdates_the_plan_of_the_running_loop_and_leaves_it_its_lease(
    database: MailDatabase, other: MailDatabase, world: MailWorld, changes: Changes
) -> None:
    planned = database.acquire()
    assert planned
    later = Changes(grants=(grant(world.user(), world.domain("y.fr"), "y.fr"),))
    with other.seized() as epoch:
        assert epoch > planned
        assert other.snapshot((), ()).epoch == epoch
        assert other.write(changes, epoch=epoch).granted == 1
    with pytest.raises(PlanOutdated):
        database.write(later, epoch=planned)
    now = database.renew(planned)
    assert now
    assert now == database.snapshot((), ()).epoch
    assert database.write(later, epoch=now).granted == 1


def test_while_a_command_is_at_work_only_it_writes(
    database: MailDatabase, other: MailDatabase, world: MailWorld, changes: Changes
) -> None:
    held = database.acquire()
    assert held
    with other.seized() as epoch:
        seen = database.snapshot((), ()).epoch
        assert database.renew(held) == seen
        with pytest.raises(PlanOutdated):
            database.write(changes, epoch=seen)
        assert other.write(changes, epoch=epoch).granted == 1
    domain = world.domain("y.fr")
    with pytest.raises(PlanOutdated):
        database.write(Changes(grants=(grant(world.user(), domain, "y.fr"),)), epoch=seen)


def test_two_commands_take_turns(database: MailDatabase, other: MailDatabase) -> None:
    with database.seized() as first, pytest.raises(LeaseHeld):
        other.seize(NO_TIME)
    with other.seized(NO_TIME) as second:
        assert second > first


def test_a_command_waits_for_the_one_before(database: MailDatabase, other: MailDatabase) -> None:
    first = database.seize()
    later: list[int] = []
    waiting = threading.Thread(target=lambda: later.append(other.seize(timedelta(seconds=30))))
    waiting.start()
    database.give_back(first)
    waiting.join(timeout=30)
    assert later
    assert later[0] > first + 1
    other.give_back(later[0])


def test_a_command_gives_back_when_its_body_fails(database: MailDatabase, other: MailDatabase) -> None:
    with pytest.raises(ZeroDivisionError), database.seized():
        raise ZeroDivisionError
    with other.seized(NO_TIME):
        pass


@pytest.mark.parametrize("go_on", [MailDatabase.acquire, lambda database: database.renew(1)])
def test_the_loop_goes_on_after_a_command_that_stopped_in_the_middle(
    database: MailDatabase,
    other: MailDatabase,
    world: MailWorld,
    changes: Changes,
    go_on: Callable[[MailDatabase], int | None],
) -> None:
    database.acquire()
    stopped = other.seize()
    expire(world, "command_expires_at")
    epoch = go_on(database)
    assert epoch
    assert epoch > stopped
    with pytest.raises(PlanOutdated):
        other.write(changes, epoch=stopped)
    assert database.write(changes, epoch=epoch).granted == 1


def test_another_command_goes_on_after_one_that_stopped(
    database: MailDatabase, other: MailDatabase, world: MailWorld, changes: Changes
) -> None:
    stopped = database.seize()
    expire(world, "command_expires_at")
    with other.seized(NO_TIME) as epoch:
        with pytest.raises(PlanOutdated):
            database.write(changes, epoch=stopped)
        database.give_back(stopped)
        assert other.write(changes, epoch=epoch).granted == 1


def test_nobody_takes_the_lease_beside_a_command(database: MailDatabase, other: MailDatabase) -> None:
    with database.seized():
        assert other.acquire() is None
    assert other.acquire()


def test_owners_do_not_hinder_each_other(database: MailDatabase, database_url: str) -> None:
    with opened(database_url, owner="other") as other:
        assert database.acquire()
        assert other.acquire()


def test_a_write_gives_its_time_back(database: MailDatabase, world: MailWorld, changes: Changes) -> None:
    epoch = database.acquire()
    assert epoch
    before = database.status_facts().lease.expires_at
    database.write(changes, epoch=epoch)
    after = database.status_facts().lease.expires_at
    assert before is not None
    assert after is not None
    assert after >= before


def test_a_lease_whose_row_is_locked_by_a_write_is_not_lost(
    database: MailDatabase, world: MailWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "LOCK_SECONDS", 0.05)
    epoch = database.acquire()
    assert epoch
    with opened(world.url) as other, world.session() as session:
        session.exec_driver_sql(f"UPDATE {table(world)} SET epoch = epoch")
        assert database.renew(epoch) == epoch
        assert database.acquire() == epoch
        assert other.acquire() is None
        with pytest.raises(LeaseHeld):
            other.seize(NO_TIME)


def test_only_one_of_many_gets_the_lease(database_url: str) -> None:
    got: list[int | None] = []

    def try_it() -> None:
        with opened(database_url) as mine:
            got.append(mine.acquire())

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got, key=str) == [1, None, None, None, None, None]


def test_writing_as_a_command_needs_no_lease(database: MailDatabase, changes: Changes) -> None:
    assert write(database, changes).granted == 1
