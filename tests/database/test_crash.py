"""What a crash leaves: everything or nothing, whichever two statements it comes between (invariant 3)."""

import itertools
import multiprocessing
import signal
from collections.abc import Iterator, Mapping

import pytest

from controller.errors import DatabaseUnavailable
from controller.maildb.database import MailDatabase
from tests.support.changes import everything, scene
from tests.support.database import MailWorld, at_each_statement, write_and_die

MOST_STATEMENTS = 60


class CrashError(Exception):
    """The process ends here."""


def forget_command(world: MailWorld) -> None:
    table = "maildomain_controller.fence" if world.dialect == "postgresql" else "mdc_fence"
    world.execute(f"UPDATE {table} SET command = NULL, command_expires_at = NULL")


def test_an_error_between_any_two_statements_leaves_nothing(database: MailDatabase, world: MailWorld) -> None:
    changes = everything(world, database)
    before = world.dump(), world.dump_own()
    for at in range(MOST_STATEMENTS):
        sent = itertools.count()

        def crash(_statement: str, sent: Iterator[int] = sent, at: int = at) -> None:
            if next(sent) == at:
                raise CrashError

        with database.seized() as epoch, at_each_statement(database, crash):
            try:
                assert database.write(changes, epoch=epoch).revoked == 1
            except CrashError:
                assert (world.dump(), world.dump_own()) == before
            else:
                break
    assert 10 < at < MOST_STATEMENTS - 1, "every statement was cut off once, then none was"
    after = world.dump(), world.dump_own()
    assert untouched(before[1], after[1]) == {"frozen"}


@pytest.mark.timeout(180)
def test_a_kill_between_any_two_statements_leaves_nothing(
    database_url: str, world: MailWorld, database: MailDatabase
) -> None:
    changes = everything(world, database)
    before = world.dump(), world.dump_own()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.database"])
    killed = 0
    for at in range(MOST_STATEMENTS):
        process = context.Process(target=write_and_die, args=(database_url, changes, at))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
        assert (world.dump(), world.dump_own()) == before
        forget_command(world)
    assert 10 < killed < MOST_STATEMENTS - 1, "every statement was cut off once, then none was"
    after = world.dump(), world.dump_own()
    assert untouched(before[1], after[1]) == {"frozen"}, "the one that lived wrote to every table of a write"


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_connection_that_is_cut_at_commit_is_unavailable_and_read_again(
    database: MailDatabase, world: MailWorld
) -> None:
    changes = scene(world).changes

    def cut(statement: str) -> None:
        if statement == "COMMIT":
            world.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'maildomain-controller' AND state = 'idle in transaction'"
                " AND datname = current_database()"
            )

    before = world.dump(), world.dump_own()
    with database.seized() as epoch:
        with at_each_statement(database, cut), pytest.raises(DatabaseUnavailable):
            database.write(changes, epoch=epoch)
        assert (world.dump(), world.dump_own()) == before
        assert database.snapshot((), ()).epoch == epoch
        assert database.write(changes, epoch=epoch).granted == 1


def untouched(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> set[str]:
    """The tables that hold what they held."""
    return {name for name, rows in after.items() if before[name] == rows}
