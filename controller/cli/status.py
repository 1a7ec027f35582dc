"""`status`: how things are, on one screen."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from controller.cli.console import emit
from controller.cli.document import ShownFreeze
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, PlainFormat, PlainOutput
from controller.cli.report import shown_freeze
from controller.cli.wire import Part, dump
from controller.cli.wording import counted, frozen
from controller.resources.quantities import format_duration

if TYPE_CHECKING:
    from controller.maildb.status import Lease, OpenHold, StatusFacts

LOST_SHOWN = 20


def status(database_url: DatabaseUrl = None, output: PlainFormat = PlainOutput.TEXT) -> None:
    """Show what is frozen, held and since when, what is suspected, who lost access in the last hour, who runs the loop.

    The database knows what waits for an approval, and not what a source says about its canaries.

    Exit codes: 0, 7 the database is unavailable or migrate is needed.
    """
    with open_database(database_url) as database:
        facts = database.status_facts()
    emit(to_json(facts) if output is PlainOutput.JSON else "".join(f"{line}\n" for line in to_lines(facts)))


class ShownLease(Part):
    """Who runs the loop."""

    epoch: int
    holder: str | None
    expires_at: datetime | None
    live: bool


class ShownOpenHold(Part):
    """One open hold."""

    id: str
    scope: str
    limit: str
    count: int
    since: datetime
    expires_at: datetime
    approved: bool


class ShownCases(Part):
    """The open cases."""

    open: int
    oldest: datetime | None


class ShownLoss(Part):
    """One access that was revoked in the last hour."""

    user: str
    domain: str
    at: datetime


class ShownStatus(Part):
    """The status on the wire."""

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: Literal["Status"]
    now: datetime
    frozen: ShownFreeze | None
    lease: ShownLease
    holds: tuple[ShownOpenHold, ...]
    cases: ShownCases
    pinned: int
    revoked_last_hour: tuple[ShownLoss, ...]


def to_json(facts: "StatusFacts") -> str:
    """Print the facts; users by id."""
    shown = ShownStatus(
        api_version="maildomain.dev/v1alpha1",
        kind="Status",
        now=facts.now,
        frozen=shown_freeze(facts.freeze),
        lease=ShownLease(
            epoch=facts.lease.epoch,
            holder=facts.lease.holder,
            expires_at=facts.lease.expires_at,
            live=_live(facts.lease, facts.now),
        ),
        holds=tuple(_hold(hold) for hold in facts.holds),
        cases=ShownCases(open=facts.open_cases, oldest=facts.oldest_case),
        pinned=facts.pins,
        revoked_last_hour=tuple(ShownLoss(user=lost.user, domain=lost.domain, at=lost.at) for lost in facts.lost),
    )
    return dump(shown)


def _hold(hold: "OpenHold") -> ShownOpenHold:
    return ShownOpenHold(
        id=hold.id,
        scope=str(hold.scope),
        limit=hold.limit,
        count=hold.count,
        since=hold.since,
        expires_at=hold.expires_at,
        approved=hold.approved,
    )


def to_lines(facts: "StatusFacts") -> Iterator[str]:
    """Tell the facts, the most urgent first."""
    freeze = shown_freeze(facts.freeze)
    if freeze is not None:
        yield f"FROZEN     {frozen(freeze)}; lift it with freeze --off"
    yield f"held       {_held(facts)}"
    for hold in facts.holds:
        state = "approved, not carried out yet" if hold.approved else f"expires in {_span(hold.expires_at - facts.now)}"
        yield f"           {hold.id}  {hold.count} by {hold.scope}, limit {hold.limit}, {state}"
        if not hold.approved:
            yield f"           approve: annotate it with maildomain.dev/approve={hold.id}, or apply --approve {hold.id}"
    oldest = f", the oldest for {_span(facts.now - facts.oldest_case)}" if facts.oldest_case else ""
    yield f"suspected  {counted(facts.open_cases, 'open case')}{oldest}"
    if facts.open_cases and not facts.holds:
        yield "           what keeps them, such as a wrong canary, is in the statuses of the cluster, or said by plan"
    if facts.pins:
        pinned = counted(facts.pins, "restored access", "restored accesses")
        yield f"pinned     {pinned}; let them be judged again with rollback --release"
    yield f"revoked    {len(facts.lost)} in the last hour"
    for lost in facts.lost[:LOST_SHOWN]:
        yield f"           {lost.at:%H:%M:%S}  {lost.domain}  {lost.user}"
    if len(facts.lost) > LOST_SHOWN:
        yield f"           ... and {len(facts.lost) - LOST_SHOWN} more; -o json has them all"
    yield f"loop       {_loop(facts)}"


def _held(facts: "StatusFacts") -> str:
    if not facts.holds:
        return "nothing waits for approval"
    total = sum(hold.count for hold in facts.holds)
    return f"{counted(total, 'change')} for {_span(facts.now - min(hold.since for hold in facts.holds))}"


def _loop(facts: "StatusFacts") -> str:
    lease = facts.lease
    if lease.holder is None:
        return f"nobody runs it (epoch {lease.epoch})"
    if _live(lease, facts.now):
        return f"run by {lease.holder} (epoch {lease.epoch})"
    return f"{lease.holder} is gone, its lease has ended (epoch {lease.epoch})"


def _live(lease: "Lease", now: datetime) -> bool:
    return lease.holder is not None and lease.expires_at is not None and lease.expires_at > now


def _span(value: timedelta) -> str:
    return format_duration(max(value, timedelta(0)))
