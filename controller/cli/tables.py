"""How is a plan told to a person at a terminal? A table of the domains that matter, the changes, holds, a summary."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.cli.document import Change, Domain, PlanDocument, ShownHold, ShownSource, SubscriptionSource
from controller.cli.wording import (
    Command,
    ServiceLine,
    approval,
    counted,
    frozen,
    is_worth_a_line,
    left,
    service_lines,
    summary,
)

CHANGES_SHOWN = 40

_NUMBERS: Mapping[str, Callable[[Domain], int]] = {
    "GRANT": lambda domain: len(domain.grants),
    "REVOKE": lambda domain: len(domain.revocations),
    "HELD": lambda domain: len(domain.held),
    "ADOPT": lambda domain: domain.adoptions,
    "LEFT": left,
    "PENDING": lambda domain: domain.pending,
    "AMBIGUOUS": lambda domain: domain.ambiguous,
    "DENIED": lambda domain: domain.denied or 0,
    "CONTESTED": lambda domain: domain.contested or 0,
}
_COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}


def print_plan(document: PlanDocument, command: Command, console: Console) -> None:
    """Print a document for people; colours only where the console is a terminal."""
    if command.supposed:
        console.print(Text(command.supposed, style="bold"))
    telling = [domain for domain in document.domains if is_worth_a_line(domain)]
    if telling:
        console.print(_table(telling))
    changes = [line for domain in telling for line in _changes(domain)]
    for line in islice(changes, CHANGES_SHOWN):
        console.print(line)
    if len(changes) > CHANGES_SHOWN:
        console.print(f"... and {len(changes) - CHANGES_SHOWN} more; -o json has them all")
    if document.services is not None and (lines := list(service_lines(document.services))):
        console.print(_services(lines))
    for hold in document.holds:
        console.print(_hold(hold, command), highlight=False)
    if document.frozen is not None:
        console.print(Text(frozen(document.frozen), style="bold yellow"))
    for source in document.sources:
        console.print(Text(_asked(source), style="dim"))
    for center in document.services.sources if document.services is not None else ():
        console.print(Text(_asked_about_subscriptions(center), style="dim"))
    console.print(Text(summary(document), style="bold"))


def _table(domains: list[Domain]) -> Table:
    """One line a domain; columns in which nobody has a number are left out."""
    numbers = {heading: [count(domain) for domain in domains] for heading, count in _NUMBERS.items()}
    numbers = {heading: column for heading, column in numbers.items() if any(column)}
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("DOMAIN", overflow="fold")
    table.add_column("MODE")
    table.add_column("READY")
    for heading in numbers:
        table.add_column(heading, justify="right")
    for line, domain in enumerate(domains):
        ready = domain.condition("Ready")
        cells = (str(column[line] or "-") for column in numbers.values())
        table.add_row(domain.domain, domain.mode, Text(ready.reason, style=_COLOURS[ready.status]), *cells)
    return table


def _services(lines: list[ServiceLine]) -> Table:
    """One line a service of a domain that changes, or of which something is not known."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("DOMAIN", "SERVICE", "STATE"):
        table.add_column(heading, overflow="fold")
    for heading in ("ALLOWED", "GAIN", "LOSE", "STALE"):
        table.add_column(heading, justify="right")
    for domain, service in lines:
        numbers = (service.allowed, service.gains, service.loses, service.stale)
        table.add_row(domain.domain, service.name, service.state, *(str(number or "-") for number in numbers))
    return table


def _asked_about_subscriptions(source: SubscriptionSource) -> str:
    kinds = {
        "subscribed": source.subscribed,
        "not subscribed": source.not_subscribed,
        "unknown": source.unknown,
        "unavailable": source.unavailable,
    }
    said = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
    asked = f"{counted(source.asked, 'organization')} asked, {counted(source.requests, 'request')}"
    return f"source {source.namespace}/{source.name}: {asked}: {said}"


def _hold(hold: ShownHold, command: Command) -> Text:
    """What is held by which limit and, unless it is only supposed, how to approve it."""
    told = Text(f"{hold.count} held by {hold.scope}, limit {hold.limit}", style="bold yellow")
    if command.supposed:
        return told
    return Text.assemble(told, f"\n  to approve exactly these: {approval(command, hold.id)}")


def _changes(domain: Domain) -> Iterator[Text]:
    for grant in domain.grants:
        yield Text(f"+ {domain.domain}  {_who(grant)}  {grant.reason}", style="green")
    for revocation in domain.revocations:
        yield Text(f"- {domain.domain}  {_who(revocation)}  {revocation.reason}", style="red")


def _who(change: Change) -> str:
    return f"{change.user}  {change.email}" if change.email else change.user


def _asked(source: ShownSource) -> str:
    users = source.users
    kinds = ("entitled", "partial", "unknown", "malformed", "unavailable")
    said = ", ".join(f"{number} {kind}" for kind in kinds if (number := getattr(users, kind)))
    requests = counted(source.requests, "request")
    return f"source {source.namespace}/{source.name}: {users.asked} asked, {requests}" + (f": {said}" if said else "")
