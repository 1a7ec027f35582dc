"""What is told about services? The status of each object that decides on them, and their part of each MailDomain's."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from controller.engine.reports import Report, Told
from controller.engine.services import ServiceOutcome
from controller.engine.world import Kind
from controller.permissions.status import Statement, View, domain_statement, statements, undecided_statement
from controller.planning.status import shown_hold
from controller.resources.catalogservice import CatalogService
from controller.resources.conditions import ABOUT_SERVICES, render_conditions
from controller.resources.names import ResourceKey

_KINDS = {kind.singular: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Telling:
    """What a report needs beside the outcome."""

    told: Told
    """The status that each object has now."""
    sources: Collection[ResourceKey]
    """The EntitlementSources that are honoured."""
    whole_cluster: bool
    """Whether this install looks after every namespace."""
    now: datetime


def report_services(outcome: ServiceOutcome, telling: Telling) -> list[Report]:
    """Write everything down. A status that says it already does not differ."""
    question = outcome.question
    view = View(question.charter, outcome.court, question.facts.population.census, telling.sources)
    about = [_report(item, telling) for item in statements(view) if _is_ours(item, telling)]
    return [*about, *_domains(outcome, view, telling)]


def _is_ours(item: Statement, telling: Telling) -> bool:
    """Whether to tell of it here: several installs that share a cluster share its services."""
    service = item.resource
    if not isinstance(service, CatalogService) or telling.whole_cluster:
        return True
    return service.spec.subscription is not None and service.spec.subscription.source_ref.key in telling.sources


def _domains(outcome: ServiceOutcome, view: View, telling: Telling) -> Iterator[Report]:
    for item in outcome.decided.values():
        hold = shown_hold(item.hold)
        yield _part(domain_statement(item.resource, item.ruling, view, hold), telling)
    undecided = set(outcome.question.undecided)
    for domain in outcome.question.domains:
        if domain.key in undecided and domain.spec.service_access is not None and not domain.spec.suspend:
            yield _part(undecided_statement(domain, telling.told.get((Kind.DOMAIN, domain.key), {})), telling)


def _report(item: Statement, telling: Telling) -> Report:
    """The whole status of one object."""
    kind, metadata = _KINDS[item.resource.kind], item.resource.metadata
    before = telling.told.get((kind, item.resource.key), {})
    known = before.get("conditions", ())
    conditions = render_conditions(item.conditions, before=known, generation=metadata.generation, now=telling.now)
    after = {"observedGeneration": metadata.generation, **item.fields, "conditions": conditions}
    return Report(kind, item.resource.key, metadata.uid, before, after)


def _part(item: Statement, telling: Telling) -> Report:
    """The part of a MailDomain's status that is about services; the rest stays as it is."""
    metadata = item.resource.metadata
    before = telling.told.get((Kind.DOMAIN, item.resource.key), {})
    known: Iterable[dict[str, object]] = before.get("conditions", ())
    conditions = render_conditions(item.conditions, before=known, generation=metadata.generation, now=telling.now)
    others = [condition for condition in known if condition["type"] not in ABOUT_SERVICES]
    after = {**before, **item.fields, "conditions": [*others, *conditions]}
    return Report(Kind.DOMAIN, item.resource.key, metadata.uid, before, after)
