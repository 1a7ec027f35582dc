"""`approve`: what waits on one object, and a person's word that it may be carried out."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from controller.cli.console import emit, tell
from controller.cli.journal import ShownEvidence
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, PlainFormat, PlainOutput, ShowPii
from controller.cli.wire import Part, dump
from controller.cli.wording import counted
from controller.errors import InvalidInput, Problem
from controller.planning.facts import Scope
from controller.planning.guard import LIMIT_REASONS, RESTRICTIONS, limit_kind
from controller.resources.model import APPROVE_ANNOTATION, Kind
from controller.resources.names import ResourceKey

if TYPE_CHECKING:
    from controller.maildb.holds import HeldAccesses, Waiting

SHOWN = 50
"""Changes that are listed for people; JSON has them all."""


class KindName(StrEnum):
    """The kinds whose objects hold something."""

    MAIL_DOMAIN = "MailDomain"
    ENTITLEMENT_SOURCE = "EntitlementSource"

    @property
    def kind(self) -> Kind:
        """The same as the cluster names it."""
        return next(kind for kind in Kind if kind.singular == self.value)


Target = Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The object whose limit tripped.")]
KindOption = Annotated[KindName | None, typer.Option("--kind", help="Its kind, where both have one of this name.")]
HoldId = Annotated[str | None, typer.Option("--hold", metavar="ID", help="Which hold, where there are several.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")]


def approve(
    target: Target,
    *,
    kind: KindOption = None,
    hold: HoldId = None,
    yes: Yes = False,
    database_url: DatabaseUrl = None,
    output: PlainFormat = PlainOutput.TEXT,
    show_pii: ShowPii = False,
) -> None:
    """Show what waits on one object of the cluster, and approve it by annotation: exactly this, once, until it expires.

    Needs KUBECONFIG with the right to get and patch the object, and MDC_OWNER as the install has it. The operator asks
    the sources again before it carries anything out. Exit codes: 0 approved, or nothing waits; 2 usage, or not
    confirmed; 7 the cluster or the database is unavailable.
    """
    key = _key(target)
    found = asyncio.run(_find(key, kind))
    with open_database(database_url) as database:
        holds = database.holds_of(Scope(found.kind.singular, key))
    chosen = _choose(holds, hold, found)
    if chosen is None:
        tell(f"nothing waits for approval on {found.kind.singular} {key}")
        return
    shown = _shown(chosen, show_pii=show_pii)
    emit(dump(shown) if output is PlainOutput.JSON else "".join(f"{line}\n" for line in to_lines(shown)))
    _confirm(shown, yes=yes)
    asyncio.run(_annotate(found, key, chosen.id))
    tell(f"approved: {chosen.id} on {found.kind.singular} {key}")


class ShownChange(Part):
    """One access that the hold covers."""

    domain: str
    user: str
    email: str | None
    state: str | None
    since: datetime | None
    evidence: tuple[ShownEvidence, ...]


class ShownApproval(Part):
    """What is approved, on the wire."""

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: Literal["Approval"]
    hold: str
    scope: str
    limit: str
    reason: str
    since: datetime
    expires_at: datetime
    changes: tuple[ShownChange, ...]


def to_lines(shown: ShownApproval) -> Iterator[str]:
    """Tell what is about to be approved."""
    yield f"{shown.hold} on {shown.scope}"
    yield f"held by  {shown.limit} ({shown.reason}), since {shown.since:%Y-%m-%d %H:%M:%S} UTC"
    yield f"expires  {shown.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    yield counted(len(shown.changes), "change")
    for change in shown.changes[:SHOWN]:
        email = f"  {change.email}" if change.email else ""
        said = ", ".join(f"{item.source} {item.verdict} with {item.names}" for item in change.evidence)
        yield f"  {change.domain}  {change.user}{email}  {_what(change, shown.limit)}" + (f"  ({said})" if said else "")
    if len(shown.changes) > SHOWN:
        yield f"  ... and {len(shown.changes) - SHOWN} more; -o json has them all"


def _what(change: ShownChange, limit: str) -> str:
    if limit_kind(limit) == RESTRICTIONS:
        return "to be let in"
    return "to become an administrator of ours" if change.state is None else f"to lose the access, {change.state}"


def _shown(hold: "HeldAccesses", *, show_pii: bool) -> ShownApproval:
    return ShownApproval(
        api_version="maildomain.dev/v1alpha1",
        kind="Approval",
        hold=hold.id,
        scope=str(hold.scope),
        limit=hold.limit,
        reason=LIMIT_REASONS[limit_kind(hold.limit)].value,
        since=hold.since,
        expires_at=hold.expires_at,
        changes=tuple(_change(waiting, show_pii=show_pii) for waiting in hold.waiting),
    )


def _change(waiting: "Waiting", *, show_pii: bool) -> ShownChange:
    return ShownChange(
        domain=waiting.domain,
        user=waiting.user,
        email=waiting.email.reveal() if show_pii and waiting.email is not None else None,
        state=waiting.state.value if waiting.state is not None else None,
        since=waiting.since,
        evidence=tuple(
            ShownEvidence(source=str(item.source), verdict=item.verdict, names=item.names, siret=item.siret)
            for item in waiting.evidence
        ),
    )


def _key(target: str) -> ResourceKey:
    namespace, slash, name = target.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise typer.BadParameter("write NAMESPACE/NAME", param_hint="NAMESPACE/NAME")
    return ResourceKey(namespace, name)


@dataclass(frozen=True, slots=True)
class _Found:
    """The object in the cluster."""

    kind: Kind
    uid: str


async def _find(key: ResourceKey, kind: KindName | None) -> _Found:
    """Look the object up by its kind, or by whichever kind has it. Raises `InvalidInput` for none, and for both."""
    from controller.cluster.cluster import connected  # noqa: PLC0415  # slow, and bad input quick
    from controller.observability.metrics import Metrics  # noqa: PLC0415  # beside the cluster alone

    found = []
    async with connected((), (), Metrics()) as cluster:
        for one in (kind.kind,) if kind is not None else (Kind.SOURCE, Kind.DOMAIN):
            obj = await cluster.read_object(one, key)
            if obj is not None:
                found.append(_Found(one, obj["metadata"]["uid"]))
    if len(found) != 1:
        what = "names a MailDomain and an EntitlementSource" if found else "names no object of the cluster"
        remedy = "add --kind" if found else "name one as kubectl get maildomain -A shows it"
        raise InvalidInput(Problem("command line", str(key), what, remedy))
    return found[0]


async def _annotate(found: _Found, key: ResourceKey, hold: str) -> None:
    from controller.cluster.cluster import connected  # noqa: PLC0415  # slow, and bad input quick
    from controller.observability.metrics import Metrics  # noqa: PLC0415  # beside the cluster alone

    async with connected((), (), Metrics()) as cluster:
        await cluster.annotate(found.kind, key, found.uid, {APPROVE_ANNOTATION: hold})


def _choose(holds: "Sequence[HeldAccesses]", wanted: str | None, found: _Found) -> "HeldAccesses | None":
    open_holds = {hold.id: hold for hold in holds if not hold.approved}
    if wanted is not None:
        if wanted not in open_holds:
            remedy = "leave --hold out to see what waits; it may have expired, been used, or have changed"
            raise InvalidInput(Problem("command line", "--hold", f"no such hold on this {found.kind.singular}", remedy))
        return open_holds[wanted]
    if len(open_holds) > 1:
        named = ", ".join(f"{hold.id} ({hold.limit})" for hold in open_holds.values())
        raise InvalidInput(Problem("command line", "--hold", f"several holds wait: {named}", "name one of them"))
    return next(iter(open_holds.values()), None)


def _confirm(shown: ShownApproval, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "there is no terminal to ask on: look at the changes and add --yes", param_hint="--yes"
        )
    question = f"Approve {counted(len(shown.changes), 'change')}?"
    if not typer.confirm(question, err=True):
        tell("not approved")
        raise typer.Exit(2)
