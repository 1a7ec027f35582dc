"""Has anything changed? One aggregate for each of the application's tables, cheap enough for every two seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Text, cast, func, literal, select

from controller.maildb.application import Application
from controller.maildb.fence import read_epoch
from controller.maildb.freezing import read_freeze
from controller.maildb.own import Own
from controller.planning.facts import Freeze


@dataclass(frozen=True, slots=True)
class Beat:
    """One table at one moment. Two that differ prove a change; two that are equal make one very unlikely."""

    rows: int
    updated_at: str | None
    content: int | None
    """Mixed from the columns that planning reads: it sees a row that took another's place, and a flag that flipped."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The application's tables at one moment; compared with an earlier one."""

    users: Beat
    domains: Beat
    accesses: Beat
    freeze: Freeze | None
    epoch: int
    """Of the fence: it rises with each command of this owner, whatever that has written."""


def read_pulse(connection: Connection, application: Application, own: Own | None, owner: str) -> Pulse:
    """Take the pulse, in the transaction of `connection`; `own` is None before the first `migrate`."""
    domains, accesses = application.domains, application.accesses
    return Pulse(
        read_users_beat(connection, application),
        _beat(connection, domains.c.updated_at, domains.c.id, (domains.c.name, domains.c.alias_of_id)),
        _beat(connection, accesses.c.updated_at, accesses.c.id, (accesses.c.role,)),
        read_freeze(connection, own) if own is not None else None,
        read_epoch(connection, own, owner) if own is not None else 0,
    )


def read_users_beat(connection: Connection, application: Application) -> Beat:
    """The beat of the users alone."""
    users = application.users.c
    return _beat(connection, users.updated_at, users.id, (users.email, users.is_active))


def _beat(
    connection: Connection,
    updated_at: ColumnElement[Any],
    key: ColumnElement[Any],
    others: Sequence[ColumnElement[Any]],
) -> Beat:
    mixed = _hash(key, others) if connection.dialect.name == "postgresql" else _sum(key, others)
    row = connection.execute(select(func.count(), cast(func.max(updated_at), Text), mixed)).one()
    return Beat(*row)


def _hash(key: ColumnElement[Any], others: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    words = func.concat_ws("|", key, *others)
    return func.bit_xor(func.hashtextextended(words, literal(0, BigInteger)))


def _sum(key: ColumnElement[Any], others: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    """SQLite has no hash of its own: `connecting` gives it one."""
    return func.sum(func.mdc_checksum(*(cast(value, Text) for value in (key, *others))))
