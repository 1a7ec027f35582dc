"""Where does a law play? One mail database behind one face: a model in memory, or a real one on either dialect.

Whoever plays the application, and whoever judges, sees rows as they are, never what the controller remembers of them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, cast

from sqlalchemy import create_engine, text

from controller.errors import Frozen, PlanOutdated, SchemaUnknown
from controller.maildb.connecting import read_url
from controller.maildb.database import MailDatabase
from controller.maildb.journal import Selection
from controller.maildb.pulse import Beat, Pulse
from controller.maildb.writing import Written
from controller.planning.changes import Adoption, Changes, Denied, Grant, Restoration, Revocation
from controller.planning.facts import (
    OPEN_STATES,
    Access,
    AccessId,
    Contest,
    Freeze,
    Holding,
    Owned,
    Pin,
    Removal,
    Seal,
    Snapshot,
    User,
    UserId,
)
from controller.resources.names import DomainName, Email
from tests.support.database import OWN_TABLES, TABLES, MailWorld, opened
from tests.support.planning import DAY, START, Entry, PlanningWorld

DEEDS = ("granted", "revoked", "restored")


class Row(NamedTuple):
    """One access as anybody sees it."""

    domain: str
    user: str
    admin: bool


class Person(NamedTuple):
    """One user as anybody sees them."""

    email: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class Scenery:
    """Everything that stands in the database at one moment."""

    rows: dict[str, Row]
    """By id, with the domain's name; in an order that does not depend on ids."""
    people: dict[str, Person]
    ours: frozenset[str]
    """Ids of rows that the ledger names."""
    cases: frozenset[tuple[str, str]]
    """Domain and user of the open cases."""
    deeds: Mapping[str, int]
    """Entries of the journal, by what they say."""
    pins: frozenset[str]
    """Ids of rows that a person has restored."""


class Stage(Protocol):
    """One database, and the hands of everybody else in it."""

    database: MailDatabase

    def scenery(self) -> Scenery:
        """Look at everything."""

    def held(self, hold: str) -> frozenset[tuple[str, str]]:
        """Domain and user of what one hold covers."""

    def add_user(self, email: str | None, *, active: bool) -> None:
        """Somebody signs up."""

    def change_user(self, user: str, email: str | None, *, active: bool) -> None:
        """Somebody is renamed, comes or goes."""

    def add_row(self, user: str, domain: str, *, admin: bool) -> None:
        """A person adds an access by hand."""

    def delete_row(self, row: str) -> None:
        """A person deletes an access by hand."""

    def age(self, hours: int) -> None:
        """The database's clock jumps forward: everything in our tables is older by so much."""

    def everything(self) -> object:
        """All rows that anybody could have written, the fence apart: what is equal has not changed at all."""

    def alter(self, *, known: bool) -> None:
        """Make the application's schema one that we do not know, or the one that we know."""

    def close(self) -> None:
        """Nothing remains."""


# --- in memory --------------------------------------------------------------------------------------------------------


class Deed(NamedTuple):
    """One entry of the journal, as the model keeps it."""

    at: datetime
    what: str
    holding: Holding
    removal: Removal | None = None
    ledger: Owned | None = None
    """What a removal took along."""


@dataclass
class MemoryDatabase:
    """The mail database as its owner's process sees it, without a database: what the writer promises, kept plainly."""

    world: PlanningWorld
    owner: str = "test"
    epoch: int = 1
    aged: float = 0.0
    deeds: list[Deed] = field(default_factory=list)
    strange: bool = False
    """Whether the schema is unknown."""

    def __post_init__(self) -> None:
        self.world.seal = Seal("of the model")

    def acquire(self) -> int:
        """Nobody else wants the lease."""
        return self.epoch

    def pulse(self) -> Pulse:
        """The tables as they are now."""
        world = self.world
        users = tuple((user.id, user.email.key if user.email else None, user.active) for user in world.users.values())
        tables = (users, tuple(world.domains), tuple(world.rows.values()))
        beats = [Beat(len(table), None, hash(table)) for table in tables]
        return Pulse(beats[0], beats[1], beats[2], world.freeze, self.epoch)

    def has_service_rows(self) -> bool:
        """Nobody has ever decided on services."""
        return False

    def take_hints(self) -> frozenset[Any]:
        """No webhook ever comes."""
        return frozenset()

    def snapshot(self, names: Collection[DomainName], windows: Collection[timedelta], *, anew: bool = True) -> Snapshot:
        """Everything, at the database's time."""
        self._refuse_when_strange()
        self._tell_time()
        contests = self._contests()
        return replace(self.world.snapshot(), epoch=self.epoch, users=dict(self.world.users), contests=contests)

    def removals(self, selection: Selection) -> tuple[Removal, ...]:
        """The newest removal of each access since then."""
        self._tell_time()
        since = self.world.time - (selection.since or DAY)
        found = {deed.holding: deed.removal for deed in self.deeds if deed.removal is not None and deed.at > since}
        return tuple(found.values())

    def write(self, changes: Changes, *, epoch: int, despite_freeze: bool = False) -> Written:
        """All of it, or nothing."""
        if not changes:
            return Written()
        if self.world.freeze is not None and not despite_freeze:
            raise Frozen("nothing was written")
        self._refuse_when_strange()
        if epoch != self.epoch or not all(self._as_planned(changes)):
            raise PlanOutdated("the world has moved")
        self._tell_time()
        for item in changes.revocations:
            self._revoke(item)
        self.world.carry_out(changes)
        self.deeds += [Deed(self.world.time, "granted", _holding(item)) for item in changes.grants]
        for restoration in changes.restorations:
            self._restore(restoration)
        for pin in changes.released:
            self.world.pins.pop(pin.access)
        return Written(len(changes.grants), len(changes.adoptions), len(changes.revocations))

    def freeze(self, reason: str) -> None:
        """Stop every write."""
        self.world.freeze = Freeze(self.world.time, reason)

    def lift_freeze(self) -> None:
        """Let everybody go on."""
        self.world.freeze = None

    @contextmanager
    def seized(self) -> Iterator[int]:
        """Another command writes."""
        yield self.seize()
        self.give_back(self.epoch)

    def seize(self) -> int:
        """Begin what `seized` does."""
        self.epoch += 1
        return self.epoch

    def give_back(self, epoch: int) -> None:
        """End it."""
        self.epoch = epoch + 1

    def _refuse_when_strange(self) -> None:
        if self.strange:
            raise SchemaUnknown(("of the model",))

    def _tell_time(self) -> None:
        self.world.time = START + timedelta(seconds=self.aged)

    def _as_planned(self, changes: Changes) -> Iterator[bool]:
        world = self.world
        there = {(row.domain, row.user) for row in world.rows.values()}
        appearing: tuple[Grant | Restoration, ...] = (*changes.grants, *changes.restorations)
        for holding in map(_holding, appearing):
            yield world.users[holding.user].active
            yield holding not in there
        standing: tuple[Adoption | Revocation, ...] = (*changes.adoptions, *changes.revocations)
        for change in standing:
            yield world.rows.get(change.access.id) == change.access

    def _revoke(self, item: Revocation) -> None:
        now, ledger = self.world.time, self.world.ledger.get(item.access.id)
        removal = Removal(len(self.deeds), now, item.access, item.name, item.reason, hold=None, fits=True)
        self.deeds.append(Deed(now, "revoked", _holding(item), removal, ledger))

    def _restore(self, item: Restoration) -> None:
        world, row, deed = self.world, item.access, self.deeds[item.removal.entry]
        world.rows[row.id] = row
        world.pins[row.id] = Pin(row.id, row.domain, row.user, item.name, world.time)
        if deed.ledger is not None:
            world.ledger[row.id] = deed.ledger
        self.deeds.append(Deed(world.time, "restored", deed.holding))
        world.journal.append(Entry(world.time, item.name, "granted", ()))

    def _contests(self) -> Mapping[Holding, Contest]:
        lately: dict[Holding, list[Deed]] = {}
        for deed in self.deeds:
            if deed.at > self.world.time - DAY:
                lately.setdefault(deed.holding, []).append(deed)
        return {
            holding: Contest(
                vanished=sum(1 if deed.removal is None else -1 for deed in deeds) >= 3,
                removed=_brought_back(deeds),
            )
            for holding, deeds in lately.items()
        }


def _place(row: Access) -> Holding:
    return Holding(row.domain, row.user)


def _brought_back(deeds: Sequence[Deed]) -> bool:
    """Whether we have removed the row and not written it since, deeds of `deniedAdmins` apart."""
    counting = [deed for deed in deeds if deed.removal is None or deed.removal.reason != Denied.__name__]
    return bool(counting) and counting[-1].removal is not None


def _holding(change: Grant | Revocation | Restoration) -> Holding:
    if isinstance(change, Grant):
        return Holding(change.domain, change.user)
    return Holding(change.access.domain, change.access.user)


class MemoryStage:
    """The model."""

    def __init__(self, domains: Collection[str]) -> None:
        self._world = PlanningWorld()
        for name in domains:
            self._world.domain(name)
        self._memory = MemoryDatabase(self._world)
        self.database = cast("MailDatabase", self._memory)
        self._users = 0

    def scenery(self) -> Scenery:
        world = self._world
        deeds = [deed.what for deed in self._memory.deeds]
        return Scenery(
            {row.id: Row(row.domain, row.user, row.admin) for row in sorted(world.rows.values(), key=_place)},
            {
                user.id: Person(user.email.reveal() if user.email else None, user.active)
                for user in world.users.values()
            },
            frozenset(world.ledger),
            frozenset((case.domain, case.user) for case in world.cases.values() if case.state in OPEN_STATES),
            {what: deeds.count(what) for what in DEEDS},
            frozenset(world.pins),
        )

    def held(self, hold: str) -> frozenset[tuple[str, str]]:
        return frozenset((domain, user) for domain, user in self._world.holds[hold].accesses)

    def add_user(self, email: str | None, *, active: bool) -> None:
        self._users += 1
        self._world.user(email, active=active, name=f"user-{self._users:03d}")

    def change_user(self, user: str, email: str | None, *, active: bool) -> None:
        key = UserId(user)
        self._world.users[key] = User(key, Email(email) if email is not None else None, active)

    def add_row(self, user: str, domain: str, *, admin: bool) -> None:
        self._world.admin(user, domain, owned=False, admin=admin)

    def delete_row(self, row: str) -> None:
        del self._world.rows[AccessId(row)]

    def age(self, hours: int) -> None:
        self._memory.aged += 3600.0 * hours

    def everything(self) -> object:
        world = self._world
        kept = (world.users, world.rows, world.ledger, world.cases, world.holds, world.known, world.claims, world.pins)
        return [dict(part) for part in kept], len(self._memory.deeds), len(world.journal), world.freeze

    def alter(self, *, known: bool) -> None:
        self._memory.strange = not known

    def close(self) -> None:
        """Nothing to close."""


# --- on a real database -----------------------------------------------------------------------------------------------

_MOMENTS = {
    "journal": ("at",),
    "access_ledger": ("since",),
    "revocation_case": ("opened_at",),
    "hold": ("since", "expires_at"),
    "known": ("since",),
}


class SqlStage:
    """A real database, looked at through a connection of its own."""

    def __init__(self, url: str, domains: Collection[str]) -> None:
        self._world = MailWorld(url)
        self._opened = opened(url)
        self.database = self._opened.__enter__()
        self._engine = create_engine(read_url(url), isolation_level="AUTOCOMMIT")
        self._connection = self._engine.connect()
        self._prefix = "maildomain_controller." if self._world.dialect == "postgresql" else "mdc_"
        self._names = {_plain(self._world.domain(name)): name for name in domains}
        self._ids = {name: key for key, name in self._names.items()}
        self._users: list[str] = []

    def scenery(self) -> Scenery:
        rows = self._read("SELECT id, maildomain_id, user_id, role FROM messages_maildomainaccess")
        people = self._read("SELECT id, email, is_active FROM messages_user")
        rows.sort(key=lambda row: (self._names[_plain(row[1])], self._users.index(_plain(row[2]))))
        people.sort(key=lambda row: self._users.index(_plain(row[0])))
        cases = self._read(f"SELECT domain_id, user_id, state FROM {self._prefix}revocation_case")
        return Scenery(
            {
                _plain(key): Row(self._names[_plain(domain)], _plain(user), role == 1)
                for key, domain, user, role in rows
            },
            {_plain(key): Person(email, bool(active)) for key, email, active in people},
            frozenset(_plain(key) for (key,) in self._read(f"SELECT access_id FROM {self._prefix}access_ledger")),
            frozenset(
                (self._names[_plain(domain)], _plain(user)) for domain, user, state in cases if state in OPEN_STATES
            ),
            dict.fromkeys(DEEDS, 0)
            | dict(self._read(f"SELECT what, count(*) FROM {self._prefix}journal GROUP BY what")),
            frozenset(_plain(key) for (key,) in self._read(f"SELECT access_id FROM {self._prefix}pin")),
        )

    def held(self, hold: str) -> frozenset[tuple[str, str]]:
        found = self._read(f"SELECT domain_id, user_id FROM {self._prefix}hold_access WHERE hold_id = :hold", hold=hold)
        return frozenset((self._names[_plain(domain)], _plain(user)) for domain, user in found)

    def add_user(self, email: str | None, *, active: bool) -> None:
        self._users.append(_plain(self._world.user(email, active=active)))

    def change_user(self, user: str, email: str | None, *, active: bool) -> None:
        statement = "UPDATE messages_user SET email = :email, is_active = :active WHERE id = :user"
        self._connection.execute(text(statement), {"email": email, "active": active, "user": user})

    def add_row(self, user: str, domain: str, *, admin: bool) -> None:
        self._world.admin(_dashed(user), _dashed(self._ids[domain]), role=1 if admin else 2)

    def delete_row(self, row: str) -> None:
        self._connection.execute(text("DELETE FROM messages_maildomainaccess WHERE id = :row"), {"row": row})

    def age(self, hours: int) -> None:
        for table, columns in _MOMENTS.items():
            for column in columns:
                self._connection.execute(
                    text(f"UPDATE {self._prefix}{table} SET {column} = {self._earlier(column, hours)}")
                )

    def everything(self) -> object:
        tables = (*TABLES, *(f"{self._prefix}{name}" for name in OWN_TABLES))
        return {table: sorted(map(repr, self._read(f"SELECT * FROM {table}"))) for table in tables}

    def alter(self, *, known: bool) -> None:
        """Only a look at the schema finds out: every statement works with a role that may be NULL as before."""
        if self._world.dialect == "postgresql":
            how = "SET" if known else "DROP"
            self._connection.execute(text(f"ALTER TABLE messages_maildomainaccess ALTER role {how} NOT NULL"))
            return
        before, after = ("role smallint,", "role smallint NOT NULL,")[:: 1 if known else -1]
        version = self._connection.execute(text("PRAGMA schema_version")).scalar_one()
        for statement in (
            "PRAGMA writable_schema = ON",
            f"UPDATE sqlite_schema SET sql = replace(sql, '{before}', '{after}')",
            f"PRAGMA schema_version = {version + 1}",
            "PRAGMA writable_schema = OFF",
        ):
            self._connection.execute(text(statement))

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()
        self._opened.__exit__(None, None, None)

    def _earlier(self, column: str, hours: int) -> str:
        if self._world.dialect == "postgresql":
            return f"{column} - interval '{hours} hours'"
        return f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-{hours} hours') || '000'"

    def _read(self, statement: str, **values: Any) -> list[Any]:
        return list(self._connection.execute(text(statement), values))


def _plain(key: object) -> str:
    return str(key).replace("-", "")


def _dashed(key: str) -> str:
    return "-".join((key[:8], key[8:12], key[12:16], key[16:20], key[20:]))
