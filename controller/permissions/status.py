"""What is said about the objects that decide on services? Counts and conditions, as the CRDs have them.

Everything is exact, nothing names anybody, and lists hold the first few. A name that leads nowhere is said where it is
written; it stops nothing, and gives nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from controller.permissions.census import Census
from controller.permissions.links import LinkReport, LinkState
from controller.permissions.realm import Court, Realm, Usable
from controller.permissions.restrictions import RestrictionReport, report_restrictions
from controller.permissions.roles import compiled_groups, keys_of
from controller.permissions.rows import Ruling
from controller.resources.catalogservice import CatalogService
from controller.resources.charter import Charter, ServiceKind
from controller.resources.conditions import Condition, ConditionType, Reason
from controller.resources.group import MailDomainGroup
from controller.resources.link import MailDomainLink
from controller.resources.maildomain import MailDomain
from controller.resources.names import ResourceKey
from controller.resources.restriction import ServiceGroupRestriction
from controller.resources.role import Choice, MailDomainRole, Subject
from controller.resources.rolebinding import MailDomainRoleBinding

FIRST = 20
"""How much a list shows; counts have all of it."""

LINK_REASONS = {
    LinkState.SYNCED: Reason.SYNCED,
    LinkState.ROLE_CONFLICT: Reason.ROLE_CONFLICT,
    LinkState.NOT_ALLOWED: Reason.NOT_ALLOWED,
    LinkState.CYCLE: Reason.CYCLE,
    LinkState.UPSTREAM_MISSING: Reason.UPSTREAM_MISSING,
    LinkState.DOWNSTREAM_MISSING: Reason.DOWNSTREAM_MISSING,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said about one object: the fields of its status, and its conditions."""

    resource: ServiceKind | MailDomain
    fields: Mapping[str, Any]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class View:
    """What is declared, and what came of it."""

    charter: Charter
    court: Court
    census: Census
    sources: Collection[ResourceKey]
    """The EntitlementSources that may be asked."""

    @cached_property
    def realms(self) -> Mapping[ResourceKey, Realm]:
        """The domains that decide on services."""
        return {realm.key: realm for realm in self.court.realms.values()}

    @cached_property
    def services(self) -> Collection[str]:
        """The services that are declared."""
        return {service.id for service in self.charter.services}

    @cached_property
    def groups(self) -> Mapping[ResourceKey, frozenset[str]]:
        """The members of every group, as e-mail keys."""
        return compiled_groups(self.charter.groups)

    @cached_property
    def listed(self) -> Mapping[str, int]:
        """How many domains list each service."""
        return Counter(name for realm in self.realms.values() for name in realm.services)

    @cached_property
    def bound(self) -> Mapping[ResourceKey, int]:
        """How many bindings give each role."""
        return Counter(binding.role_key for binding in self.charter.bindings)

    @cached_property
    def narrowed(self) -> Collection[ResourceKey]:
        """The roles that are given in a domain in which restrictions are applied."""
        return {
            binding.role_key
            for binding in self.charter.bindings
            if (realm := self.realms.get(binding.domain_key)) is not None and realm.restrictions
        }

    @cached_property
    def restricted(self) -> Mapping[ResourceKey, RestrictionReport]:
        """What restrictions do, where they are applied."""
        return {
            key: report_restrictions(realm, self.census) for key, realm in self.realms.items() if realm.restrictions
        }

    def has_groups(self, namespace: str, subjects: Iterable[Subject]) -> bool:
        """Whether every group that is named exists."""
        return all(item.name is None or ResourceKey(namespace, item.name) in self.groups for item in subjects)


def statements(view: View) -> Iterator[Statement]:
    """What is said about every object of the kinds that decide on services."""
    charter = view.charter
    yield from (_service(item, view) for item in charter.services)
    yield from (_role(item, view) for item in charter.roles)
    yield from (_binding(item, view) for item in charter.bindings)
    yield from (_group(item, view) for item in charter.groups)
    yield from (_link(item, view.court.links.reports[item.key]) for item in charter.links)
    yield from _restrictions(view)


def domain_statement(domain: MailDomain, ruling: Ruling, view: View, hold: Mapping[str, Any] | None) -> Statement:
    """What is said about services in one MailDomain. `hold` is what waits for approval, as the status shows it."""
    realm = ruling.realm
    leaked = len(view.restricted[realm.key].leaked) if realm.restrictions else None
    fields = {
        "members": len(ruling.access.decisions),
        "allowed": dict(ruling.access.allowed()),
        "wouldLose": ruling.would_lose,
        "wouldGain": ruling.would_gain,
        "lastRowLeak": leaked,
        "hold": hold,
    }
    return Statement(domain, {"serviceAccess": _present(fields)}, tuple(_domain_conditions(domain, ruling, view)))


def undecided_statement(domain: MailDomain, before: Mapping[str, Any]) -> Statement:
    """What is said while a source was never asked: the counts stay as they were."""
    condition = Condition(ConditionType.SERVICE_ACCESS_READY, "Unknown", Reason.PROGRESSING)
    return Statement(domain, {"serviceAccess": before.get("serviceAccess", {})}, (condition,))


def _domain_conditions(domain: MailDomain, ruling: Ruling, view: View) -> Iterator[Condition]:
    yield _condition(ConditionType.SERVICE_ACCESS_READY, _domain_trouble(ruling, view), _in_sync(ruling))
    if ruling.realm.restrictions:
        yield Condition(ConditionType.DEPRECATED_RESTRICTION_IN_USE, "True", Reason.RESTRICTION_IN_USE)
    reports = view.court.links.reports
    states = [reports[link.key].state for link in view.charter.links if link.downstream_key == domain.key]
    if states:
        failed = next((state for state in states if state is not LinkState.SYNCED), None)
        yield _condition(ConditionType.LINK_SYNCED, LINK_REASONS[failed] if failed else None, Reason.SYNCED)


def _in_sync(ruling: Ruling) -> Reason:
    return Reason.AUDITED if ruling.advisory else Reason.SERVICES_IN_SYNC


def _domain_trouble(ruling: Ruling, view: View) -> Reason | None:
    """The first thing that keeps what is declared from being what people can do."""
    realm = ruling.realm
    if ruling.kept_out:
        return Reason.RESTRICTIONS_END
    if any(name not in view.services for name in realm.services):
        return Reason.SERVICE_NOT_FOUND
    if realm.default_role is not None and realm.default_role not in realm.roles:
        return Reason.DEFAULT_ROLE_MISSING
    given = {name for names in realm.held.values() for name in names}
    acts = any(realm.roles[name].acts_as is not Choice.NONE for name in given if name in realm.roles)
    if acts and realm.impersonation is None:
        return Reason.IMPERSONATION_MODE_MISSING
    return Reason.SUBSCRIPTIONS_UNKNOWN if Usable.UNKNOWN in realm.services.values() else None


def _service(item: CatalogService, view: View) -> Statement:
    subscription = item.spec.subscription
    trouble = None
    if subscription is not None and subscription.source_ref.key not in view.sources:
        trouble = Reason.SOURCE_NOT_FOUND
    good = Reason.AVAILABLE if item.spec.active else Reason.SWITCHED_OFF
    return _statement(item, {"domains": view.listed.get(item.id, 0)}, trouble, good)


def _role(item: MailDomainRole, view: View) -> Statement:
    subjects = item.spec.impersonation.subjects if item.spec.impersonation else None
    trouble = None
    if any(name not in view.services for name in item.spec.service_access.services or ()):
        trouble = Reason.SERVICE_NOT_FOUND
    elif not view.has_groups(item.metadata.namespace, subjects or ()):
        trouble = Reason.GROUP_NOT_FOUND
    found = _statement(item, {"bindings": view.bound.get(item.key, 0)}, trouble, Reason.RESOLVED)
    if item.key not in view.narrowed:
        return found
    warning = Condition(ConditionType.DEPRECATED_RESTRICTION_IN_USE, "True", Reason.RESTRICTION_IN_USE)
    return Statement(item, found.fields, (*found.conditions, warning))


def _binding(item: MailDomainRoleBinding, view: View) -> Statement:
    namespace, subjects = item.metadata.namespace, item.spec.subjects
    realm = view.realms.get(item.domain_key)
    trouble = None
    if realm is None:
        trouble = Reason.DOMAIN_NOT_FOUND
    elif item.spec.role_ref.name not in realm.roles:
        trouble = Reason.ROLE_NOT_FOUND
    elif not view.has_groups(namespace, subjects):
        trouble = Reason.GROUP_NOT_FOUND
    keys = frozenset[str]().union(*(keys_of(subject, namespace, view.groups) for subject in subjects))
    return _statement(item, {"subjects": _people(keys, view.census)}, trouble, Reason.RESOLVED)


def _group(item: MailDomainGroup, view: View) -> Statement:
    return _statement(item, {"members": _people(view.groups[item.key], view.census)}, None, Reason.RESOLVED)


def _link(item: MailDomainLink, report: LinkReport) -> Statement:
    roles = [
        {
            "upstream": role.upstream,
            "downstream": role.downstream,
            "mapped": len(role.mapped),
            "unmapped": list(role.unmapped[:FIRST]),
        }
        for role in report.roles
    ]
    fields = {
        "roles": roles[:FIRST],
        "conflicts": list(report.conflicts[:FIRST]),
        "counts": {
            "roles": len(report.roles),
            "conflicts": len(report.conflicts),
            "unmapped": sum(len(role.unmapped) for role in report.roles),
        },
    }
    failed = None if report.state is LinkState.SYNCED else LINK_REASONS[report.state]
    unmapped = None if report.all_mapped else Reason.SERVICES_UNMAPPED
    return Statement(
        item,
        fields,
        (
            _condition(ConditionType.SYNCED, failed, Reason.SYNCED),
            _condition(ConditionType.ALL_MAPPED, unmapped, Reason.ALL_MAPPED),
        ),
    )


def _restrictions(view: View) -> Iterator[Statement]:
    for item in view.charter.restrictions:
        report = view.restricted.get(item.domain_key)
        applied = report is not None and item.key in report.denied
        fields = {
            "denied": len(report.denied[item.key]) if report is not None and applied else 0,
            "lastRowLeak": len(report.leaked) if report is not None and applied else 0,
        }
        yield _statement(item, fields, _restriction_trouble(item, view), _restriction_state(item, applied=applied))


def _restriction_trouble(item: ServiceGroupRestriction, view: View) -> Reason | None:
    if item.domain_key not in view.realms:
        return Reason.DOMAIN_NOT_FOUND
    namespace = item.metadata.namespace
    found = all(ResourceKey(namespace, row.group) in view.groups for row in item.spec.groups)
    return None if found else Reason.GROUP_NOT_FOUND


def _restriction_state(item: ServiceGroupRestriction, *, applied: bool) -> Reason:
    if applied:
        return Reason.RESTRICTION_IN_USE
    return Reason.NOT_APPLIED if item.spec.restrict else Reason.RESOLVED


def _people(keys: frozenset[str], census: Census) -> Mapping[str, int]:
    """Whom e-mails mean: nobody yet, one active user, or several, who then have nothing by it."""
    active = [sum(person.active for person in census.by_key.get(key, ())) for key in keys]
    return {
        "declared": len(keys),
        "resolved": sum(number == 1 for number in active),
        "pending": sum(number == 0 for number in active),
        "ambiguous": sum(number > 1 for number in active),
    }


def _statement(item: ServiceKind, fields: Mapping[str, Any], trouble: Reason | None, good: Reason) -> Statement:
    return Statement(item, fields, (_condition(ConditionType.READY, trouble, good),))


def _condition(kind: ConditionType, trouble: Reason | None, good: Reason) -> Condition:
    if trouble is Reason.SUBSCRIPTIONS_UNKNOWN:
        return Condition(kind, "Unknown", trouble)
    return Condition(kind, "False" if trouble else "True", trouble or good)


def _present(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
