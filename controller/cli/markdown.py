"""How is a plan told in a pull request? A summary, the domains with changes, and the holds with their command."""

from collections.abc import Iterator

from controller.cli.document import Domain, PlanDocument, ServiceChange
from controller.cli.wording import Command, approval, frozen, has_changes, left, service_lines, summary


def to_markdown(document: PlanDocument, command: Command) -> str:
    """Render a document as a comment. `command` is the command that was run, for what to do about holds."""
    return "\n".join(_lines(document, command)) + "\n"


def _lines(document: PlanDocument, command: Command) -> Iterator[str]:
    yield f"### Mail domains: {summary(document)}"
    if command.supposed:
        yield ""
        yield f"**{command.supposed}**"
    if document.frozen is not None:
        yield ""
        yield f"**{frozen(document.frozen)}**"
    changed = [domain for domain in document.domains if has_changes(domain)]
    if changed:
        yield ""
        yield "| domain | mode | grants | revocations | held | adoptions | suppressed | ready |"
        yield "|---|---|--:|--:|--:|--:|--:|---|"
        yield from map(_row, changed)
    services = list(service_lines(document.services)) if document.services is not None else []
    if services:
        yield ""
        yield "| domain | service | state | allowed | gain | lose | stale |"
        yield "|---|---|---|--:|--:|--:|--:|"
        yield from (_service(domain.domain, service) for domain, service in services)
    if document.holds:
        yield ""
        yield "**Would wait for approval**" if command.supposed else "**Waiting for approval**"
        yield ""
    for hold in document.holds:
        how = "" if command.supposed else f". To approve: `{approval(command, hold.id)}`"
        yield f"- {hold.count} held by {hold.scope} ({hold.limit}){how}"
    yield ""
    yield f"`{document.digest}`"


def _row(domain: Domain) -> str:
    numbers = (len(domain.grants), len(domain.revocations), len(domain.held), domain.adoptions, left(domain))
    counts = " | ".join(str(number) for number in numbers)
    return f"| `{domain.domain}` | {domain.mode} | {counts} | {domain.condition('Ready').reason} |"


def _service(domain: str, service: ServiceChange) -> str:
    numbers = (service.allowed, service.gains, service.loses, service.stale)
    counts = " | ".join(str(number) for number in numbers)
    return f"| `{domain}` | {service.name} | {service.state} | {counts} |"
