"""What does one rollback do? Read what was removed, decide, and restore in one transaction, or only show."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from controller.engine.once import ATTEMPTS
from controller.errors import ControllerError, Frozen, PlanOutdated
from controller.maildb.database import MailDatabase
from controller.maildb.journal import Selection
from controller.planning.facts import Pin, Snapshot
from controller.planning.guard import Approvals
from controller.planning.restoring import Rollback, roll_back
from controller.resources.maildomain import MailDomain

Decide = Callable[[], tuple[Snapshot, Rollback]]


@dataclass(frozen=True, slots=True)
class RollbackOutcome:
    """What one rollback found and did."""

    decided: Rollback
    snapshot: Snapshot
    written: bool


def undo(
    database: MailDatabase,
    selection: Selection,
    *,
    declared: Sequence[MailDomain] = (),
    approve: frozenset[str] = frozenset(),
    write: bool,
    despite_freeze: bool = False,
) -> RollbackOutcome:
    """Restore what was removed, and pin it. Without `write` nothing is written.

    Raises `DatabaseUnavailable`, `SchemaUnknown`, `MigrationNeeded`, `LeaseHeld`, `Frozen`, and `PlanOutdated` when
    the database kept moving.
    """

    def decide() -> tuple[Snapshot, Rollback]:
        removals = database.removals(selection)
        snapshot = database.snapshot({removal.name for removal in removals}, ())
        approvals = Approvals(by_command=approve)
        decided = roll_back(removals, snapshot, owner=database.owner, declared=declared, approvals=approvals)
        return snapshot, decided

    return _carry_out(database, decide, write=write, despite_freeze=despite_freeze)


def release(database: MailDatabase, selection: Selection, *, write: bool) -> RollbackOutcome:
    """Take away the pins of what a rollback restored: all of them, or those of a hold, a domain, or since a time.

    Raises as `undo`.
    """

    def decide() -> tuple[Snapshot, Rollback]:
        snapshot = database.snapshot((), ())
        pins = tuple(pin for _, pin in sorted(snapshot.pins.items()) if _selected(pin, selection, snapshot))
        return snapshot, Rollback(released=pins)

    return _carry_out(database, decide, write=write, despite_freeze=False)


def _selected(pin: Pin, selection: Selection, snapshot: Snapshot) -> bool:
    young = selection.since is None or pin.since > snapshot.taken_at - selection.since
    domain = selection.domain in (None, pin.name)
    return young and domain and selection.hold in (None, pin.hold)


def _carry_out(database: MailDatabase, decide: Decide, *, write: bool, despite_freeze: bool) -> RollbackOutcome:
    snapshot, decided = decide()
    if not write or not decided.changes:
        return RollbackOutcome(decided, snapshot, written=False)
    for attempt in range(ATTEMPTS):
        epoch = database.seize()
        try:
            snapshot, decided = decide()
            database.write(decided.changes, epoch=epoch, despite_freeze=despite_freeze)
            return RollbackOutcome(decided, replace(snapshot, epoch=epoch), written=True)
        except Frozen:
            raise
        except PlanOutdated:
            if attempt + 1 == ATTEMPTS:
                raise
        finally:
            # What can't be given back now ends by itself.
            with suppress(ControllerError):
                database.give_back(epoch)
    raise AssertionError("every attempt returns or raises")
