"""What can be asked of the mail database, and what may be written to it? The room's door: one object a process.

Every method is one transaction, blocks, and is safe to call from several threads. Each of them raises
`DatabaseUnavailable`, `NotAuthorized`, or `InvalidInput` for a bad URL, beside what it names itself.
"""

import os
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import Connection

from controller.errors import ControllerError, Frozen, LeaseHeld
from controller.maildb import fence, freezing
from controller.maildb import hints as hinting
from controller.maildb.application import Application, application_tables
from controller.maildb.audit import note_acting_as
from controller.maildb.census import Population, read_population
from controller.maildb.connecting import Gate
from controller.maildb.docket import Docket, read_docket
from controller.maildb.export import read_administrators
from controller.maildb.failures import Locked
from controller.maildb.fence import Writer
from controller.maildb.grants import Grants, read_grants
from controller.maildb.holds import HeldAccesses, read_holds
from controller.maildb.journal import JournalEntry, Selection, prune, read_journal
from controller.maildb.own import own_tables
from controller.maildb.preflight import examine, is_migrated, require_version
from controller.maildb.pulse import Pulse, read_pulse
from controller.maildb.reading import People, read_claims, read_people, read_snapshot
from controller.maildb.restoring import read_removals
from controller.maildb.services import (
    ServiceChanges,
    ServiceFacts,
    ServiceRows,
    any_service_rows,
    read_purchases,
    read_service_facts,
    read_service_rows,
    write_services,
)
from controller.maildb.status import StatusFacts, read_owners, read_status
from controller.maildb.writing import Written, write_changes
from controller.permissions.rows import StandingRows
from controller.planning.changes import Changes
from controller.planning.facts import Claim, DomainId, Freeze, Hint, Removal, Scope, Snapshot, UserId
from controller.resources.names import DomainName

_POLL = 0.25
"""Seconds between two looks at whether another command has ended."""


class MailDatabase:
    """One mail database on behalf of one owner.

    `url` is called at each new connection. `holder` names this process for people; what is written holds a unique
    suffix, so that a process never passes for its predecessor. A `frozen` process writes nothing, whatever the database
    says.
    """

    def __init__(self, url: Callable[[], str], *, owner: str, holder: str | None = None, frozen: bool = False) -> None:
        self.owner = owner
        self._frozen = Freeze() if frozen else None
        self.holder = f"{holder or f'{socket.gethostname()}/{os.getpid()}'}/{uuid4().hex[:8]}"
        self._gate = Gate(url)
        self._writer = Writer(self.owner, self.holder)
        self._application: Application | None = None
        self._migrated = False
        self._leased: int | None = None
        self._people: People | None = None

    # --- what is there ---

    def preflight(self) -> None:
        """Look at the application's tables anew. Raises `SchemaUnknown` with every difference."""
        self._forget()
        with self._reading() as connection:
            self._known(connection)

    def snapshot(self, names: Collection[DomainName], windows: Collection[timedelta], *, anew: bool = True) -> Snapshot:
        """Everything that planning needs, at one moment.

        `names` are the canonical domains whose accesses are read, `windows` those over which activity is counted.
        Not `anew`, the users are those of the snapshot before, if the pulse sees no change of them: it can't see one of
        their claims alone. Needs SELECT on the application's tables only, and works before the first `migrate`.
        What kind of database it is is looked up just before, as by each write: a plan may be older than a change of it.
        Raises `SchemaUnknown`, or `MigrationNeeded` when our tables are of another version.
        """
        with self._reading() as connection:
            self._forget()
            application = self._known(connection)
            self._people = people = read_people(connection, application, None if anew else self._people)
            found = read_snapshot(
                connection,
                application,
                self.owner,
                people.users,
                names=names if isinstance(names, frozenset | set) else frozenset(names),
                windows=windows,
                migrated=self._is_migrated(connection),
            )
        return replace(found, freeze=self._frozen) if self._frozen else found

    def pulse(self) -> Pulse:
        """What differs as soon as the application's tables do. Raises `SchemaUnknown`."""
        with self._reading() as connection:
            own = own_tables(connection.dialect.name) if self._is_migrated(connection) else None
            return read_pulse(connection, self._known(connection), own, self.owner)

    def export_facts(self) -> Mapping[DomainName, tuple[UserId, ...]]:
        """The administrators of every domain, by canonical name. Raises `SchemaUnknown`."""
        with self._reading() as connection:
            return read_administrators(connection, self._known(connection))

    def population(self) -> Population:
        """Everybody, every administrator and every domain, at one moment. Raises `SchemaUnknown`."""
        with self._reading() as connection:
            return read_population(connection, self._known(connection))

    def docket(self, domain: DomainName, row: DomainId | None, people: Collection[str]) -> Docket:
        """What a question about these people in one domain hangs on now. Raises `SchemaUnknown`, `MigrationNeeded`."""
        with self._reading() as connection:
            self._require_version(connection)
            return read_docket(connection, self._known(connection), self.owner, domain=domain, row=row, people=people)

    def note_acting_as(self, domain: DomainName, actor: str, subject: str, services: Collection[str]) -> bool:
        """Note in the journal that somebody was let in as another one; False when there is no journal yet."""
        with self._writing() as connection:
            if not self._is_migrated(connection):
                return False
            note_acting_as(connection, self._writer, domain=domain, actor=actor, subject=subject, services=services)
            return True

    def status_facts(self) -> StatusFacts:
        """Lease, holds, cases and who lost access in the last hour. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            require_version(connection)
            found = read_status(connection, self.owner)
        return replace(found, freeze=self._frozen) if self._frozen else found

    def holds_of(self, scope: Scope) -> tuple[HeldAccesses, ...]:
        """What waits for the approval of one object. Raises `SchemaUnknown` or `MigrationNeeded`."""
        with self._reading() as connection:
            require_version(connection)
            return read_holds(connection, self._known(connection), self.owner, scope)

    def journal(self, selection: Selection | None = None, *, limit: int | None = None) -> tuple[JournalEntry, ...]:
        """What is selected of the journal, or all of it, newest first. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            require_version(connection)
            return read_journal(connection, selection or Selection(), limit=limit)

    def removals(self, selection: Selection) -> tuple[Removal, ...]:
        """The newest removal of each access among those that are selected. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            require_version(connection)
            own = own_tables(connection.dialect.name)
            return read_removals(connection, self._known(connection), own, self.owner, selection)

    # --- who may write ---

    def acquire(self) -> int | None:
        """Take the lease, or keep it: the epoch, or None while somebody else has it. Raises `MigrationNeeded`.

        While a write holds the row the lease can't pass to anybody, and the write gives its time back: whoever had it
        at the last look still has it.
        """
        with suppress(Locked), self._writing() as connection:
            self._require_version(connection)
            self._leased = fence.acquire(connection, own_tables(connection.dialect.name), self._writer)
        return self._leased

    def renew(self, epoch: int) -> int | None:
        """Extend the lease: the epoch now, which a command may have raised, or None when the lease is lost.

        While a write holds the row the epoch stays, as with `acquire`.
        """
        with suppress(Locked), self._writing() as connection:
            self._leased = fence.renew(connection, own_tables(connection.dialect.name), self._writer, epoch)
            return self._leased
        return epoch

    def release(self, epoch: int) -> None:
        """Give the lease back."""
        with self._writing() as connection:
            fence.release(connection, own_tables(connection.dialect.name), self._writer, epoch)
        self._leased = None

    @contextmanager
    def seized(self, wait: timedelta = timedelta(seconds=30)) -> Iterator[int]:
        """Have the database to oneself for one snapshot and its write; the raised epoch.

        A running operator keeps its lease, can't write meanwhile, and plans again afterwards.
        Raises `LeaseHeld` when another command is at work for longer than `wait`, and `MigrationNeeded`.
        """
        epoch = self.seize(wait)
        try:
            yield epoch
        finally:
            # What can't be given back now ends by itself.
            with suppress(ControllerError):
                self.give_back(epoch)

    def seize(self, wait: timedelta = timedelta(seconds=30)) -> int:
        """Begin what `seized` does; to be ended by `give_back`."""
        deadline = time.monotonic() + wait.total_seconds()
        while True:
            try:
                with self._writing() as connection:
                    self._require_version(connection)
                    return fence.seize(connection, own_tables(connection.dialect.name), self._writer)
            except (LeaseHeld, Locked):
                if time.monotonic() + _POLL > deadline:
                    raise LeaseHeld("another command or a long write of this owner is at work") from None
            time.sleep(_POLL)

    def give_back(self, epoch: int) -> None:
        """End what `seize` began."""
        with self._writing() as connection:
            fence.give_back(connection, own_tables(connection.dialect.name), self._writer, epoch)

    # --- writing ---

    def write(self, changes: Changes, *, epoch: int, despite_freeze: bool = False) -> Written:
        """Carry out everything in one transaction, or nothing. Empty changes are no statement at all.

        Raises `Frozen` while everything is frozen, unless a person wants it `despite_freeze`, and `PlanOutdated` when
        somebody else has written since the snapshot, a row is no longer as planned, or the database chose this
        transaction to break a deadlock: nothing is written, plan again. Raises `SchemaUnknown`, looked up anew, and
        `MigrationNeeded`. After `DatabaseUnavailable` nobody knows whether COMMIT was carried out: read again.
        """
        if not changes:
            return Written()
        if not despite_freeze:
            self._refuse_when_frozen()
        with self._writing() as connection:
            application = self._known_anew(connection)
            return write_changes(
                connection, application, self._writer, changes, epoch=epoch, despite_freeze=despite_freeze
            )

    # --- stopping everything ---

    def freeze(self, reason: str | None) -> None:
        """Stop every write of every owner. What is under way is not waited for: see `await_writes`.

        Raises `MigrationNeeded`, and `Locked` while SQLite is being written.
        """
        with self._writing() as connection:
            self._require_version(connection)
            freezing.freeze(connection, own_tables(connection.dialect.name), reason)

    def lift_freeze(self) -> bool:
        """Let everybody go on; False when the database was not frozen. Raises as `freeze`."""
        with self._writing() as connection:
            self._require_version(connection)
            return freezing.lift(connection, own_tables(connection.dialect.name))

    def await_writes(self) -> None:
        """Return when no write is under way. Raises `Locked` when one takes longer than a lock is waited for."""
        with self._writing() as connection:
            freezing.await_writes(connection, own_tables(connection.dialect.name))

    # --- hints ---

    def note_hints(self, hints: Collection[Hint]) -> int:
        """Note whom webhooks name, to be asked about a few seconds later. Returns how many found room.

        Raises `MigrationNeeded`.
        """
        with self._writing() as connection:
            self._require_version(connection)
            return hinting.note(connection, own_tables(connection.dialect.name), self.owner, hints)

    def take_hints(self) -> frozenset[Hint]:
        """Take the hints that are due; nothing is written when there are none. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            self._require_version(connection)
            if not hinting.any_due(connection, own_tables(connection.dialect.name), self.owner):
                return frozenset()
        with self._writing() as connection:
            return hinting.take(connection, own_tables(connection.dialect.name), self.owner)

    def prune_journal(self, keep: timedelta) -> int:
        """Delete entries of the journal that are older; how many. Raises `Frozen` and `MigrationNeeded`."""
        with self._writing() as connection:
            self._require_version(connection)
            own = own_tables(connection.dialect.name)
            freezing.refuse_when_frozen(connection, own)
            return prune(connection, own, keep)

    # --- services ---

    def service_facts(self) -> ServiceFacts:
        """Everything that deciding about services needs, at one moment; works before the first `migrate`.

        Raises `SchemaUnknown`, or `MigrationNeeded` when our tables are of another version.
        """
        with self._reading() as connection:
            migrated = self._is_migrated(connection)
            return read_service_facts(connection, self._known(connection), self.owner, migrated=migrated)

    def has_service_rows(self) -> bool:
        """Whether this owner has ever decided on services, and has not taken that back. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            return self._is_migrated(connection) and any_service_rows(connection, self.owner)

    def claims(self) -> Mapping[DomainName, Claim]:
        """Who has won which domain, of this owner. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            self._require_version(connection)
            found = read_claims(connection, own_tables(connection.dialect.name))
        return {domain: claim for domain, claim in found.items() if claim.owner == self.owner}

    def purchases(self, domain: DomainId) -> Mapping[str, bool]:
        """Whether each service is bought, as far as the rows of a domain say it. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            self._require_version(connection)
            return read_purchases(connection, self.owner, domain)

    def service_rows(self, domains: Collection[DomainId]) -> ServiceRows:
        """The rows about services of these domains; none before the first `migrate`. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            if not self._is_migrated(connection):
                return {domain: StandingRows() for domain in domains}
            return read_service_rows(connection, self.owner, domains)

    def write_services(self, changes: ServiceChanges, *, epoch: int) -> None:
        """Carry out everything in one transaction, or nothing, as `write` does."""
        if not changes:
            return
        self._refuse_when_frozen()
        with self._writing() as connection:
            self._known_anew(connection)
            write_services(connection, self._writer, changes, epoch=epoch)

    # --- our own tables ---

    def check_version(self) -> None:
        """Raise `MigrationNeeded` unless our own tables are there and of this program's version."""
        with self._reading() as connection:
            require_version(connection)

    def grants(self) -> Grants:
        """How the privileges of our role differ from those that it should have; needs none of them."""
        with self._reading() as connection:
            return read_grants(connection)

    def owners(self) -> Mapping[str, tuple[DomainName, ...]]:
        """Every owner that has migrated or claimed here, and the domains of each. Raises `MigrationNeeded`."""
        with self._reading() as connection:
            require_version(connection)
            return read_owners(connection)

    def migrate(self, take_over: DomainName | None = None) -> bool:
        """Create or update our own tables and note the owner; with `take_over`, take that domain from another owner.

        Returns whether a domain was taken over. Raises `MigrationNeeded` when the tables are newer than this program.
        """
        # Alembic takes longer to import than everything else here, and only `migrate` needs it.
        from controller.maildb.migrating import upgrade  # noqa: PLC0415
        from controller.maildb.takeover import take_over as take  # noqa: PLC0415

        self._forget()
        with self._writing() as connection:
            upgrade(connection, self.owner)
            return take_over is not None and take(connection, self._known(connection), self._writer, take_over)

    def close(self) -> None:
        """Close every connection."""
        self._gate.close()

    # --- what is known of the database ---

    def _refuse_when_frozen(self) -> None:
        if self._frozen:
            raise Frozen("this process is frozen by MDC_FREEZE; nothing was written")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._forgetting(), self._gate.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._forgetting(), self._gate.writing() as connection:
            yield connection

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """After an error it may be another database that answers next."""
        try:
            yield
        except ControllerError:
            self._forget()
            raise

    def _forget(self) -> None:
        self._application = None
        self._migrated = False

    def _known(self, connection: Connection) -> Application:
        application = self._application or application_tables(examine(connection))
        self._application = application
        return application

    def _known_anew(self, connection: Connection) -> Application:
        """What kind of database it is now, with our own tables in it (invariant 12)."""
        self._forget()
        self._require_version(connection)
        return self._known(connection)

    def _is_migrated(self, connection: Connection) -> bool:
        self._migrated = self._migrated or is_migrated(connection)
        return self._migrated

    def _require_version(self, connection: Connection) -> None:
        if not self._migrated:
            require_version(connection)
            self._migrated = True
