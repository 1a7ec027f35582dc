"""What does an outcome say about services? The part of the document of a plan or a result that tells of rows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from controller.cli.document import (
    ServiceChange,
    ServiceCounts,
    ServiceDomain,
    Services,
    ServiceState,
    SubscriptionSource,
)
from controller.permissions.effects import Effect
from controller.permissions.realm import Usable

if TYPE_CHECKING:
    from controller.engine.services import Decided, ServiceOutcome
    from controller.engine.subscriptions import SourceAccount
    from controller.resources.maildomain import MailDomain

_STATES: Mapping[Usable | None, ServiceState] = {
    Usable.YES: "Usable",
    Usable.INACTIVE: "Inactive",
    Usable.NOT_SUBSCRIBED: "NotSubscribed",
    Usable.UNKNOWN: "Unknown",
    None: "NotListed",
}
_NOTHING = Effect()


def report_services(outcome: "ServiceOutcome") -> Services:
    """Write down what becomes of each domain that decides on services, or has just stopped to."""
    decided = [_decided(item, outcome.effects.get(key, {})) for key, item in outcome.decided.items()]
    cleared = [_cleared(item, outcome.effects[item.key]) for item in outcome.cleared]
    domains = tuple(sorted((*decided, *cleared), key=lambda domain: (domain.namespace, domain.name)))
    return Services(
        counts=ServiceCounts(
            domains=len(domains),
            gains=sum(service.gains for domain in domains for service in domain.services),
            loses=sum(service.loses for domain in domains for service in domain.services),
            held=sum(domain.held for domain in domains),
        ),
        domains=domains,
        sources=tuple(map(_source, outcome.accounts)),
    )


def row_digests(outcome: "ServiceOutcome") -> Mapping[str, str]:
    """What the rows will say of each domain where they differ, by its resource; empty where there are to be none."""
    differing = {str(key): outcome.decided[key].ruling.digest for key in outcome.effects if key in outcome.decided}
    return differing | {str(item.key): "" for item in outcome.cleared}


def _decided(item: "Decided", effects: Mapping[str, Effect]) -> ServiceDomain:
    ruling = item.ruling
    return ServiceDomain(
        namespace=item.resource.key.namespace,
        name=item.resource.key.name,
        domain=item.resource.domain,
        advisory=ruling.advisory,
        members=len(ruling.access.decisions),
        would_lose=ruling.would_lose,
        held=ruling.would_gain,
        services=tuple(_services(item, effects)),
    )


def _services(item: "Decided", effects: Mapping[str, Effect]) -> Iterator[ServiceChange]:
    access = item.ruling.access
    states, allowed = item.ruling.realm.services, access.allowed()
    unknown = Counter(each.service for some in access.decisions.values() for each in some if each.allowed is None)
    for name in sorted(states.keys() | effects.keys()):
        yield _service(name, states.get(name), effects, allowed.get(name, 0), unknown[name])


def _cleared(item: "MailDomain", effects: Mapping[str, Effect]) -> ServiceDomain:
    return ServiceDomain(
        namespace=item.key.namespace,
        name=item.key.name,
        domain=item.domain,
        advisory=False,
        members=0,
        would_lose=0,
        held=0,
        services=tuple(_service(name, None, effects) for name in sorted(effects)),
    )


def _service(
    name: str, state: Usable | None, effects: Mapping[str, Effect], allowed: int = 0, stale: int = 0
) -> ServiceChange:
    effect = effects.get(name, _NOTHING)
    return ServiceChange(
        name=name, state=_STATES[state], allowed=allowed, stale=stale, gains=effect.gains, loses=effect.loses
    )


def _source(account: "SourceAccount") -> SubscriptionSource:
    return SubscriptionSource(
        namespace=account.key.namespace,
        name=account.key.name,
        asked=account.asked,
        subscribed=account.subscribed,
        not_subscribed=account.not_subscribed,
        unknown=account.unknown,
        unavailable=account.unavailable,
        requests=account.requests,
    )
