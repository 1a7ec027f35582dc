"""Who may write? One row per owner: who runs the loop, which command has the database to itself, and the epoch.

Whoever becomes the writer raises the epoch, and a write needs the epoch that its snapshot showed (invariant 9). So a
process that was paused, or whose plan is older than somebody else's write, writes nothing. Times are the database's.

A command (`apply`) does not take the lease from the loop. It raises the epoch and notes itself in the row; until it
gives back, or stops for `COMMAND`, only it writes. Giving back raises the epoch once more: what the loop planned
meanwhile is outdated, and it plans again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from controller.errors import LeaseHeld, PlanOutdated
from controller.maildb.columns import database_time
from controller.maildb.own import Own

LEASE = timedelta(seconds=15)
"""How long a lease lasts; it is renewed every third of that."""
COMMAND = timedelta(seconds=60)
"""How long a command may be at work before another one, or the loop, goes on without it."""


@dataclass(frozen=True, slots=True)
class Writer:
    """One process: on whose behalf it writes, and which process it is. No two processes share a holder."""

    owner: str
    holder: str


@dataclass(frozen=True, slots=True)
class Fence:
    """The row, locked, at one moment of the database's clock."""

    epoch: int
    holder: str | None
    expires_at: datetime | None
    command: str | None
    command_expires_at: datetime | None
    now: datetime

    @property
    def leased(self) -> bool:
        """Whether somebody holds the lease now."""
        return self.holder is not None and self.expires_at is not None and self.expires_at > self.now

    @property
    def commanded(self) -> bool:
        """Whether a command is at work now."""
        return self.command is not None and self.command_expires_at is not None and self.command_expires_at > self.now

    def leased_to(self, holder: str, epoch: int) -> bool:
        """Whether this process holds the lease. An epoch below its own means that an older database was restored."""
        return self.leased and self.holder == holder and self.epoch >= epoch

    def without_a_stopped_command(self) -> "Fence":
        """The same, raised when a command stopped in the middle: what was planned beside it is outdated."""
        if self.command is None or self.commanded:
            return self
        return replace(self, epoch=self.epoch + 1, command=None, command_expires_at=None)

    def held_by(self, holder: str) -> "Fence":
        """The same, with a full lease."""
        return replace(self, holder=holder, expires_at=self.now + LEASE)


def acquire(connection: Connection, own: Own, writer: Writer) -> int | None:
    """Take the lease, or keep it; the epoch, or None while another process has it or takes over by a command."""
    fence = _lock_or_create(connection, own, writer)
    if fence.leased_to(writer.holder, epoch=0):
        kept = fence.without_a_stopped_command().held_by(writer.holder)
        return _save(connection, own, writer, kept)
    if fence.leased or fence.commanded:
        return None
    taken = replace(fence, epoch=fence.epoch + 1, command=None, command_expires_at=None).held_by(writer.holder)
    return _save(connection, own, writer, taken)


def renew(connection: Connection, own: Own, writer: Writer, epoch: int) -> int | None:
    """Extend the lease; the epoch now, which a command may have raised, or None when the lease is lost."""
    fence = _lock(connection, own, writer)
    if fence is None or not fence.leased_to(writer.holder, epoch):
        return None
    return _save(connection, own, writer, fence.without_a_stopped_command().held_by(writer.holder))


def release(connection: Connection, own: Own, writer: Writer, epoch: int) -> None:
    """Give the lease back, so that a standby need not wait for its end."""
    fence = _lock(connection, own, writer)
    if fence is not None and fence.leased_to(writer.holder, epoch):
        _save(connection, own, writer, replace(fence, holder=None, expires_at=None))


def seize(connection: Connection, own: Own, writer: Writer) -> int:
    """Have the database to oneself for one transaction; the raised epoch. Raises `LeaseHeld` beside another command."""
    fence = _lock_or_create(connection, own, writer)
    if fence.commanded:
        raise LeaseHeld("another command of this owner is at work")
    seized = replace(fence, epoch=fence.epoch + 1, command=writer.holder, command_expires_at=fence.now + COMMAND)
    return _save(connection, own, writer, seized)


def give_back(connection: Connection, own: Own, writer: Writer, epoch: int) -> None:
    """End a command. The epoch rises again: nothing that was planned while it was at work can be written."""
    fence = _lock(connection, own, writer)
    if fence is not None and fence.command == writer.holder and fence.epoch == epoch:
        _save(connection, own, writer, replace(fence, epoch=epoch + 1, command=None, command_expires_at=None))


def enter(connection: Connection, own: Own, writer: Writer, epoch: int) -> Fence:
    """Lock the row for a write. Raises `PlanOutdated` unless this very process may write with this very epoch."""
    fence = _lock(connection, own, writer)
    if fence is None or fence.epoch != epoch or (fence.command or fence.holder) != writer.holder:
        raise PlanOutdated("somebody else has written since the snapshot, or may write now; nothing was written")
    return fence


def leave(connection: Connection, own: Own, writer: Writer, entered: Fence) -> None:
    """Give the time back that the write took: the row was locked, and its holder could not renew."""
    passed = _now(connection) - entered.now
    _save(
        connection,
        own,
        writer,
        replace(
            entered,
            expires_at=entered.expires_at + passed if entered.expires_at else None,
            command_expires_at=entered.command_expires_at + passed if entered.command_expires_at else None,
        ),
    )


def read_epoch(connection: Connection, own: Own, owner: str) -> int:
    """The epoch now; 0 when this owner has never written."""
    return connection.execute(select(own.fence.c.epoch).where(own.fence.c.owner == owner)).scalar() or 0


def create(connection: Connection, own: Own, owner: str) -> None:
    """Note an owner, unless it is known."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(own.fence).values(owner=owner, epoch=0).on_conflict_do_nothing())


def _lock_or_create(connection: Connection, own: Own, writer: Writer) -> Fence:
    create(connection, own, writer.owner)
    fence = _lock(connection, own, writer)
    if fence is None:
        raise PlanOutdated("this owner was removed from the mail database")
    return fence


def _lock(connection: Connection, own: Own, writer: Writer) -> Fence | None:
    table = own.fence.c
    columns = (table.epoch, table.holder, table.expires_at, table.command, table.command_expires_at)
    row = connection.execute(select(*columns).where(table.owner == writer.owner).with_for_update()).one_or_none()
    # The clock is read after the lock: waiting for it may have taken longer than a lease lasts.
    return Fence(*row, _now(connection)) if row is not None else None


def _now(connection: Connection) -> datetime:
    return connection.execute(select(database_time())).scalar_one()


def _save(connection: Connection, own: Own, writer: Writer, fence: Fence) -> int:
    connection.execute(
        update(own.fence)
        .where(own.fence.c.owner == writer.owner)
        .values(
            epoch=fence.epoch,
            holder=fence.holder,
            expires_at=fence.expires_at,
            command=fence.command,
            command_expires_at=fence.command_expires_at,
        )
    )
    return fence.epoch
