"""How is a plan told to a person at a terminal? A table of the domains that matter, the changes, holds, a summary."""

from collections.abc import Iterator
from itertools import islice

from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.cli.document import Domain, PlanDocument, ShownSource
from controller.cli.wording import Command, approval, counted, is_worth_a_line, summary

CHANGES_SHOWN = 40

_COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}


def print_plan(document: PlanDocument, command: Command, console: Console) -> None:
    """Print a document for people; colours only where the console is a terminal."""
    telling = [domain for domain in document.domains if is_worth_a_line(domain)]
    if telling:
        console.print(_table(telling))
    changes = [line for domain in telling for line in _changes(domain)]
    for line in islice(changes, CHANGES_SHOWN):
        console.print(line, soft_wrap=True)
    if len(changes) > CHANGES_SHOWN:
        console.print(f"... and {len(changes) - CHANGES_SHOWN} more; -o json has them all")
    for hold in document.holds:
        held = f"{hold.count} held by {hold.scope}, limit {hold.limit}, since they are more than it allows at once."
        console.print(Text(held, style="bold yellow"), soft_wrap=True)
        console.print(f"  to approve exactly these: {approval(command, hold.id)}", soft_wrap=True, highlight=False)
    for source in document.sources:
        console.print(Text(_asked(source), style="dim"), soft_wrap=True)
    console.print(Text(summary(document), style="bold"), soft_wrap=True)


def _table(domains: list[Domain]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("DOMAIN", overflow="fold")
    table.add_column("MODE")
    table.add_column("READY")
    for name in ("GRANT", "REVOKE", "HELD", "ADOPT", "LEFT", "PENDING", "AMBIGUOUS"):
        table.add_column(name, justify="right")
    for domain in domains:
        ready = domain.condition("Ready")
        numbers = (
            len(domain.grants),
            len(domain.revocations),
            len(domain.held),
            domain.adoptions,
            domain.suppressed.grants + domain.suppressed.revocations,
            domain.pending,
            domain.ambiguous,
        )
        state = Text(f"{ready.status} {ready.reason}", style=_COLOURS[ready.status])
        table.add_row(domain.domain, domain.mode, state, *(str(number) if number else "-" for number in numbers))
    return table


def _changes(domain: Domain) -> Iterator[Text]:
    for grant in domain.grants:
        yield Text(f"+ {domain.domain}  {grant.user}  {grant.email or ''}  {grant.reason}", style="green")
    for revocation in domain.revocations:
        who = f"{revocation.user}  {revocation.email or ''}"
        yield Text(f"- {domain.domain}  {who}  {revocation.reason}", style="red")


def _asked(source: ShownSource) -> str:
    users = source.users
    kinds = ("entitled", "partial", "unknown", "malformed", "unavailable")
    said = ", ".join(f"{number} {kind}" for kind in kinds if (number := getattr(users, kind)))
    requests = counted(source.requests, "request")
    return f"source {source.namespace}/{source.name}: {users.asked} asked, {requests}" + (f": {said}" if said else "")
