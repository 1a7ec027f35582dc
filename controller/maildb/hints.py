"""Who is to be asked about again soon? What webhooks name waits here for a few seconds, for the operator to take.

E-mails are kept only that long: a hint is deleted when it is taken, and by whoever writes next when nobody took it.
"""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import Connection, delete, exists, func, select

from controller.maildb.batches import insert_rows
from controller.maildb.columns import database_time
from controller.maildb.own import Own
from controller.planning.facts import Hint
from controller.resources.names import DomainName, Email

DELAY = timedelta(seconds=5)
"""How long a hint waits: a webhook is sent before its change is committed."""
AGE = timedelta(hours=1)
"""After how long a hint that nobody took is worth nothing: the waves have asked everybody since."""
MOST = 10_000
"""Hints of one owner that wait at a time. Whoever finds no room is asked with the next wave."""


def note(connection: Connection, own: Own, owner: str, hints: Collection[Hint]) -> int:
    """Note hints, each once; one that waits already waits anew. Returns how many found room."""
    table = own.hint.c
    now = connection.execute(select(database_time())).scalar_one()
    connection.execute(delete(own.hint).where(table.owner == owner, table.due_at < now - AGE))
    waiting = connection.execute(select(func.count()).select_from(own.hint).where(table.owner == owner)).scalar_one()
    named = sorted({_named(hint) for hint in hints})[: max(0, MOST - waiting)]
    rows = [{"owner": owner, "kind": kind, "subject": subject, "due_at": now + DELAY} for kind, subject in named]
    insert_rows(connection, own.hint, rows, replacing=("owner", "kind", "subject"))
    return len(rows)


def any_due(connection: Connection, own: Own, owner: str) -> bool:
    """Whether there is anything to take."""
    due = exists().where(own.hint.c.owner == owner, own.hint.c.due_at <= database_time())
    return bool(connection.execute(select(due)).scalar())


def take(connection: Connection, own: Own, owner: str) -> frozenset[Hint]:
    """Take the hints that are due: they are deleted, and known to the caller alone."""
    table = own.hint.c
    statement = (
        delete(own.hint)
        .where(table.owner == owner, table.due_at <= database_time())
        .returning(table.kind, table.subject)
    )
    rows = connection.execute(statement).all()
    return frozenset(Email(subject) if kind == "user" else DomainName(subject) for kind, subject in rows)


def _named(hint: Hint) -> tuple[str, str]:
    return ("user", hint.key) if isinstance(hint, Email) else ("domain", hint)
