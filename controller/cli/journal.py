"""`journal`: what was done, when, by whom and why."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from controller.cli.console import emit
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, Domain, PlainFormat, PlainOutput, read_duration
from controller.cli.wire import Part, dump

if TYPE_CHECKING:
    from controller.maildb.journal import JournalEntry

Since = Annotated[
    timedelta | None,
    typer.Option("--since", metavar="DURATION", parser=read_duration, help="Only what was done since then: 2h."),
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest.")]


def journal(
    since: Since = None,
    domain: Domain = None,
    limit: Limit = None,
    database_url: DatabaseUrl = None,
    output: PlainFormat = PlainOutput.TEXT,
) -> None:
    """Show what was written, the newest first, with the evidence of each removal.

    Exit codes: 0, 7 the database is unavailable or migrate is needed.
    """
    with open_database(database_url) as database:
        entries = database.journal(since=since, domain=domain, limit=limit)
    emit(to_json(entries) if output is PlainOutput.JSON else "".join(f"{line}\n" for line in to_lines(entries)))


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
        sources=tuple(str(source) for source in entry.sources),
        evidence=tuple(
            ShownEvidence(source=str(item.source), verdict=item.verdict, names=item.names, siret=item.siret)
            for item in entry.evidence
        ),
        image=entry.image,
    )


def to_lines(entries: "Sequence[JournalEntry]") -> Iterator[str]:
    """Tell the entries, one a line."""
    for entry in entries:
        sources = ", ".join(str(source) for source in entry.sources)
        about = entry.user or "-"
        by = f" by {sources}" if sources else ""
        yield f"{entry.at:%Y-%m-%d %H:%M:%S} {entry.what.value:<9} {entry.domain}  {about}  {entry.reason}{by}"
