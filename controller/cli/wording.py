"""Which words do all forms of a plan share? The summary line, what is worth a line, and how to approve a hold."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controller.cli.document import (
    Domain,
    PlanDocument,
    ServiceChange,
    ServiceCounts,
    ServiceDomain,
    Services,
    ShownFreeze,
)

PROGRAM = "maildomain-controller"


@dataclass(frozen=True, slots=True)
class Command:
    """What the user ran, as far as it has to be said again."""

    files: tuple[str, ...]
    secrets_dir: str | None = None
    supposed: str = ""
    """What is only thought of, if anything is: then nothing waits for an approval."""

    def line(self, verb: str, *options: str) -> str:
        """The same run with another verb, to be pasted into a shell."""
        files = (part for path in self.files for part in ("-f", path))
        secrets = ("--secrets-dir", self.secrets_dir) if self.secrets_dir is not None else ()
        return shlex.join((PROGRAM, verb, *files, *secrets, *options))


def approval(command: Command, hold: str) -> str:
    """The command that approves a hold."""
    return command.line("apply", "--approve", hold)


def has_changes(domain: Domain) -> bool:
    """Whether the domain differs from what its sources say, whatever is done about it."""
    return bool(domain.grants or domain.revocations or domain.held or domain.adoptions or left(domain))


def left(domain: Domain) -> int:
    """Differences that are left as they are: by the mode, by `suspend` or by a freeze."""
    return domain.suppressed.grants + domain.suppressed.revocations


def is_worth_a_line(domain: Domain) -> bool:
    """Whether people have to know about the domain: it changes, or it is not as it should be."""
    return has_changes(domain) or domain.ambiguous > 0 or domain.condition("Ready").status != "True"


def summary(document: PlanDocument) -> str:
    """One sentence of numbers."""
    counts = document.counts
    if document.applied is None:
        parts = [(counts.grants, "to grant"), (counts.revocations, "to revoke"), (counts.adoptions, "to adopt")]
    else:
        done = document.applied
        parts = [(done.grants, "granted"), (done.revocations, "revoked"), (done.adoptions, "adopted")]
    doing = _said([*parts, (counts.held, "held"), (sum(map(left, document.domains)), "left")]) or "nothing to do"
    waiting = _said([(counts.pending, "pending"), (counts.ambiguous, "ambiguous")])
    told = f"{counted(counts.domains, 'domain')}: {doing}" + (f"; {waiting}" if waiting else "")
    return told if document.services is None else f"{told}; services: {_services(document.services.counts)}"


def _services(counts: ServiceCounts) -> str:
    return _said([(counts.gains, "gained"), (counts.loses, "lost"), (counts.held, "held")]) or "nothing to do"


ServiceLine = tuple[ServiceDomain, ServiceChange]


def service_lines(services: Services) -> Iterator[ServiceLine]:
    """The services of a domain of which people have to know: they change, or something of them is not known."""
    for domain in services.domains:
        for service in domain.services:
            if service.gains or service.loses or service.stale:
                yield domain, service


def _said(parts: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{number} {word}" for number, word in parts if number)


def frozen(freeze: ShownFreeze) -> str:
    """What stops every write, and why."""
    since = f"since {freeze.since:%Y-%m-%d %H:%M:%S} UTC" if freeze.since is not None else "by MDC_FREEZE"
    return f"frozen {since}: nothing is written" + (f" ({freeze.reason})" if freeze.reason else "")


def counted(number: int, noun: str, many: str | None = None) -> str:
    """A number with its noun; `many` where the plural is not the noun with an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {many or f'{noun}s'}"
