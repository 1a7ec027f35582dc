"""`journal`: what was done, when, by whom and why."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from controller.cli.console import emit, tell
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, Domain, Hold, Since, read_user
from controller.cli.wire import Part, dump
from controller.cli.wording import counted
from controller.errors import InvalidInput, Problem
from controller.planning.facts import UserId
from controller.planning.identity import identify
from controller.resources.maildomain import AdoptionPolicy
from controller.resources.names import Email
from controller.settings import read_settings

if TYPE_CHECKING:
    from controller.maildb.database import MailDatabase
    from controller.maildb.journal import JournalEntry


class JournalOutput(StrEnum):
    """How the journal is told."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"
    """One entry a line."""
    CSV = "csv"


class What(StrEnum):
    """What was done."""

    GRANTED = "granted"
    ADOPTED = "adopted"
    REVOKED = "revoked"
    RESTORED = "restored"
    RELEASED = "released"
    CLAIMED = "claimed"
    TAKEN_OVER = "takenOver"
    ACTED_AS = "actedAs"
    SERVICES = "services"


_SAID_BY_SOURCES = frozenset({"Entitled", AdoptionPolicy.MATCHING.value, "NotEntitled"})
"""Reasons that sources gave. Everything else is declared or approved by people; its sources are those it counts for."""

Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest.")]
Kinds = Annotated[list[What] | None, typer.Option("--what", help="Only this; repeatable.")]
User = Annotated[
    str | None, typer.Option("--user", metavar="USER", parser=read_user, help="Only this e-mail, or id of a user.")
]
HowTold = Annotated[JournalOutput, typer.Option("--output", "-o", help="How it is told; jsonl and csv are exports.")]
Prune = Annotated[
    bool, typer.Option("--prune", help="Delete what is older than MDC_JOURNAL_RETENTION instead of showing anything.")
]


def journal(
    *,
    since: Since = None,
    domain: Domain = None,
    what: Kinds = None,
    user: User = None,
    hold: Hold = None,
    limit: Limit = None,
    prune: Prune = False,
    database_url: DatabaseUrl = None,
    output: HowTold = JournalOutput.TEXT,
) -> None:
    """Show what was written, the newest first, with the evidence of each removal.

    Exit codes: 0, 7 the database is unavailable or migrate is needed.
    """
    with open_database(database_url) as database:
        if prune:
            _prune(database)
            return
        from controller.maildb.journal import Selection  # noqa: PLC0415  # beside the database alone
        from controller.maildb.keeping import Deed  # noqa: PLC0415

        deeds = frozenset(Deed(one.value) for one in what or ())
        users = _users(database, user) if user is not None else None
        entries = database.journal(Selection(since, domain, users, hold, deeds), limit=limit)
    emit(_FORMS[output](entries))


def _prune(database: "MailDatabase") -> None:
    days = read_settings().journal_retention
    if days is None:
        remedy = "say for how many days entries are kept"
        raise InvalidInput(Problem("environment", "MDC_JOURNAL_RETENTION", "is not set", remedy))
    deleted = database.prune_journal(timedelta(days=days))
    tell(f"{counted(deleted, 'entry', 'entries')} deleted")


def _users(database: "MailDatabase", user: str) -> frozenset[UserId]:
    """The users of an e-mail, or the one whose id it is: also one who is gone by now."""
    if "@" not in user:
        return frozenset({UserId(user)})
    return identify(database.snapshot((), ()).users).matching([Email(user)])


class ShownEvidence(Part):
    """What one source said."""

    source: str
    verdict: str
    names: int
    siret: str | None


class ShownEntry(Part):
    """One thing that was done."""

    id: int
    at: datetime
    owner: str
    holder: str
    what: str
    domain: str
    user: str | None
    access: str | None
    reason: str
    hold: str | None
    sources: tuple[str, ...]
    evidence: tuple[ShownEvidence, ...]
    image: Mapping[str, Any]


class ShownJournal(Part):
    """The journal on the wire."""

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: Literal["Journal"]
    entries: tuple[ShownEntry, ...]


def to_json(entries: "Sequence[JournalEntry]") -> str:
    """Print the entries with everything that they hold: ids, never an e-mail."""
    shown = ShownJournal(
        api_version="maildomain.dev/v1alpha1", kind="Journal", entries=tuple(_entry(entry) for entry in entries)
    )
    return dump(shown)


def _entry(entry: "JournalEntry") -> ShownEntry:
    return ShownEntry(
        id=entry.id,
        at=entry.at,
        owner=entry.owner,
        holder=entry.holder,
        what=entry.what.value,
        domain=entry.domain,
        user=entry.user,
        access=entry.access,
        reason=entry.reason,
        hold=entry.hold,
        sources=tuple(str(source) for source in entry.sources),
        evidence=tuple(
            ShownEvidence(source=str(item.source), verdict=item.verdict, names=item.names, siret=item.siret)
            for item in entry.evidence
        ),
        image=entry.image,
    )


def to_text(entries: "Sequence[JournalEntry]") -> str:
    """Tell the entries, one a line."""
    return "".join(f"{line}\n" for line in _lines(entries))


def to_jsonl(entries: "Sequence[JournalEntry]") -> str:
    """The entries of the JSON document, one a line."""
    return "".join(f"{_entry(entry).model_dump_json(by_alias=True)}\n" for entry in entries)


def to_csv(entries: "Sequence[JournalEntry]") -> str:
    """The entries as a table; lists and images as JSON."""
    names = [field.alias or name for name, field in ShownEntry.model_fields.items()]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        row = _entry(entry).model_dump(mode="json", by_alias=True)
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _lines(entries: "Sequence[JournalEntry]") -> Iterator[str]:
    for entry in entries:
        sources = ", ".join(str(source) for source in entry.sources)
        about = entry.user or "-"
        by = f" by {sources}" if sources and entry.reason in _SAID_BY_SOURCES else ""
        approved = f", hold {entry.hold}" if entry.hold else ""
        why = f"{entry.reason}{by}{approved}"
        yield f"{entry.at:%Y-%m-%d %H:%M:%S} {entry.what.value:<9} {entry.domain}  {about}  {why}"


_FORMS = {
    JournalOutput.TEXT: to_text,
    JournalOutput.JSON: to_json,
    JournalOutput.JSONL: to_jsonl,
    JournalOutput.CSV: to_csv,
}
