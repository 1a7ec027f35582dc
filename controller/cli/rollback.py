"""`rollback`: what was removed comes back, row by row as it was, and stays until it is released."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from controller.cli.console import emit, warn
from controller.cli.document import ShownHold
from controller.cli.exits import Exit
from controller.cli.inputs import read_declarations
from controller.cli.opening import open_database
from controller.cli.options import Approve, DatabaseUrl, Domain, Format, Hold, Output, ShowPii, Since
from controller.cli.wire import Part, dump
from controller.cli.wording import counted, frozen
from controller.errors import InvalidInput, Problem
from controller.planning.facts import Removal, Snapshot, UserId
from controller.settings import read_settings

if TYPE_CHECKING:
    from controller.engine.rollback import RollbackOutcome

SHOWN = 40
DISABLED = Problem(
    "environment",
    "FEATURE_MAILDOMAIN_MANAGE_ACCESSES",
    "is false: accesses are not managed by hand here, and restoring them is",
    "set it to true for this command, or correct what the source says",
)

Release = Annotated[
    bool, typer.Option("--release", help="Let what was restored be judged again: everything, or what is selected.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Carry it out; without this it is only shown.")]
DespiteFreeze = Annotated[bool, typer.Option("--despite-freeze", help="Restore although everything is frozen.")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="PATH", help="MailDomains whose limits count; others have the defaults."),
]


def rollback(
    *,
    hold: Hold = None,
    since: Since = None,
    domain: Domain = None,
    release: Release = False,
    yes: Yes = False,
    file: Limits = None,
    approve: Approve = None,
    despite_freeze: DespiteFreeze = False,
    output: Format = Output.TEXT,
    show_pii: ShowPii = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Restore what was removed with the approval of a hold, or since a time: the same rows, the same ownership.

    What comes back is pinned: no case is opened about it until `rollback --release`. Without --yes nothing is written.
    Exit codes: 0 nothing to do, or done, 3 there is something to restore, 5 some of it is held, 6 invalid input, 7 the
    database is unavailable, frozen, or migrate is needed.
    """
    if not release and hold is None and since is None:
        raise typer.BadParameter("say what to restore: --hold or --since", param_hint="--since")
    if not release and not read_settings().feature_maildomain_manage_accesses:
        raise InvalidInput(DISABLED)
    declared = read_declarations(file).domains if file else ()
    from controller.engine.rollback import release as let_go  # noqa: PLC0415  # slow, and bad files are quick
    from controller.engine.rollback import undo  # noqa: PLC0415
    from controller.maildb.journal import Selection  # noqa: PLC0415

    selection = Selection(since=since, domain=domain, hold=hold)
    with open_database(database_url) as database:
        if release:
            outcome = let_go(database, selection, write=yes)
        else:
            approved = frozenset(approve or ())
            outcome = undo(
                database, selection, declared=declared, approve=approved, write=yes, despite_freeze=despite_freeze
            )
        owner = database.owner
    document = report(outcome, show_pii=show_pii)
    match output:
        case Output.JSON:
            emit(dump(document, nulls=False))
        case Output.MARKDOWN:
            emit("".join(f"{line}\n" for line in to_markdown(document)))
        case Output.TEXT:
            emit("".join(f"{line}\n" for line in to_lines(document)))
    if not release and not (document.restorations or document.held or document.skipped):
        warn(f"owner {owner} removed nothing of this kind; MDC_OWNER says whose removals are meant")
    raise typer.Exit(_exit(document))


def _exit(document: "ShownRollback") -> Exit:
    if document.held:
        return Exit.HELD
    return Exit.GRANTS if document.restorations and not document.written else Exit.DONE


# --- for machines -----------------------------------------------------------------------------------------------------


class ShownRemoval(Part):
    """One removal, and what becomes of it."""

    domain: str
    user: str
    access: str
    revoked_at: datetime
    reason: str
    """Why it was removed: NotEntitled, Denied or Withdrawn."""
    hold: str | None = None
    """What its return waits for."""
    because: str | None = None
    """Why it stays removed."""
    email: str | None = None


class ShownRelease(Part):
    """One pin that is taken away."""

    domain: str
    user: str
    access: str
    pinned_since: datetime


class ShownRollback(Part):
    """A rollback on the wire."""

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: Literal["Rollback"]
    digest: str
    """The same for the same rows."""
    written: bool
    restorations: tuple[ShownRemoval, ...]
    held: tuple[ShownRemoval, ...]
    skipped: tuple[ShownRemoval, ...]
    holds: tuple[ShownHold, ...]
    releases: tuple[ShownRelease, ...]
    frozen: str | None = None


def report(outcome: "RollbackOutcome", *, show_pii: bool) -> ShownRollback:
    """Write an outcome down; e-mails only with `show_pii`."""
    from controller.cli.report import shown_freeze  # noqa: PLC0415

    decided, snapshot = outcome.decided, outcome.snapshot
    freeze = shown_freeze(snapshot.freeze)
    holds = {item.hold.id: item.hold for item in decided.held}
    rows = sorted((*(item.access.id for item in decided.restorations), *(pin.access for pin in decided.released)))

    def shown(removal: Removal, **more: str) -> ShownRemoval:
        return ShownRemoval(
            domain=removal.name,
            user=removal.access.user,
            access=removal.access.id,
            revoked_at=removal.at,
            reason=removal.reason,
            email=_email(snapshot, removal.access.user) if show_pii else None,
            **more,
        )

    return ShownRollback(
        api_version="maildomain.dev/v1alpha1",
        kind="Rollback",
        digest=f"sha256:{hashlib.sha256(json.dumps(rows).encode()).hexdigest()}",
        written=outcome.written,
        restorations=tuple(shown(item.removal) for item in decided.restorations),
        held=tuple(shown(item.removal, hold=item.hold.id) for item in decided.held),
        skipped=tuple(shown(item.removal, because=item.because.value) for item in decided.skipped),
        holds=tuple(
            ShownHold(id=hold.id, scope=str(hold.scope), limit=hold.limit, count=hold.count) for hold in holds.values()
        ),
        releases=tuple(
            ShownRelease(domain=pin.name, user=pin.user, access=pin.access, pinned_since=pin.since)
            for pin in decided.released
        ),
        frozen=frozen(freeze) if freeze is not None else None,
    )


def _email(snapshot: Snapshot, user: UserId) -> str | None:
    row = snapshot.users.get(user)
    return row.email.reveal() if row is not None and row.email is not None else None


# --- for people -------------------------------------------------------------------------------------------------------


def to_lines(document: ShownRollback) -> Iterator[str]:
    """Tell a rollback, one row a line."""
    rows = [
        *(f"+ {item.domain}  {_who(item)}  revoked {_at(item.revoked_at)}" for item in document.restorations),
        *(f"? {item.domain}  {_who(item)}  held by {item.hold}" for item in document.held),
        *(f"  {item.domain}  {_who(item)}  stays removed: {item.because}" for item in document.skipped),
        *(f"~ {item.domain}  {item.user}  pinned since {_at(item.pinned_since)}" for item in document.releases),
    ]
    yield from rows[:SHOWN]
    if len(rows) > SHOWN:
        yield f"... and {len(rows) - SHOWN} more; -o json has them all"
    yield from _after(document)


def to_markdown(document: ShownRollback) -> Iterator[str]:
    """Tell a rollback as a comment: counts by domain."""
    yield f"### Rollback: {_summary(document)}"
    if document.restorations or document.held or document.skipped:
        yield ""
        yield "| domain | restore | held | stay removed |"
        yield "|---|--:|--:|--:|"
        parts = (document.restorations, document.held, document.skipped)
        for domain in sorted({item.domain for part in parts for item in part}):
            counts = " | ".join(str(_of(domain, part)) for part in parts)
            yield f"| `{domain}` | {counts} |"
    yield ""
    yield f"`{document.digest}`"


def _of(domain: str, part: Sequence[ShownRemoval]) -> int:
    return sum(item.domain == domain for item in part)


def _after(document: ShownRollback) -> Iterator[str]:
    for hold in document.holds:
        yield f"{hold.count} held by {hold.scope}, limit {hold.limit}; to approve exactly these: --approve {hold.id}"
    if document.frozen is not None:
        yield f"{document.frozen}; --despite-freeze restores all the same"
    yield _summary(document)
    if (document.restorations or document.releases) and not document.written:
        yield "nothing is written without --yes"


def _summary(document: ShownRollback) -> str:
    words = ("restored", "released") if document.written else ("to restore", "to release")
    parts = (
        (len(document.restorations), words[0]),
        (len(document.releases), words[1]),
        (len(document.held), "held"),
        (len(document.skipped), "skipped"),
    )
    return ", ".join(f"{counted(number, 'access', 'accesses')} {word}" for number, word in parts if number) or "nothing"


def _who(item: ShownRemoval) -> str:
    return f"{item.user}  {item.email}" if item.email else item.user


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
