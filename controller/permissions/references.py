"""Which names lead nowhere? What objects that decide on services refer to, and nobody declares."""

from collections.abc import Iterable, Iterator

from controller.permissions.links import Links, LinkState
from controller.resources.charter import Charter
from controller.resources.maildomain import MailDomain
from controller.resources.names import ResourceKey
from controller.resources.role import Subject
from controller.resources.serviceaccess import LegacyGroupRestrictions


def dangling(domains: Iterable[MailDomain], charter: Charter, links: Links) -> Iterator[tuple[str, str]]:
    """Each object with what is said of it. None of it stops anything: a name that leads nowhere gives nothing."""
    known = {domain.key: domain for domain in domains}
    yield from _of_domains(known.values(), charter, links)
    yield from _of_subjects(known.keys(), charter, links)
    for restriction in charter.restrictions:
        domain = known.get(restriction.domain_key)
        access = domain.spec.service_access if domain else None
        if access is None or access.legacy_group_restrictions is LegacyGroupRestrictions.DISABLED:
            yield f"ServiceGroupRestriction {restriction.key}", "is not applied: the switch of its MailDomain is off"
    for key, report in links.reports.items():
        if report.state is not LinkState.SYNCED:
            yield f"MailDomainLink {key}", f"brings nothing: {report.state.value}"


def _of_domains(domains: Iterable[MailDomain], charter: Charter, links: Links) -> Iterator[tuple[str, str]]:
    catalog = {service.id for service in charter.services}
    for domain in domains:
        access = domain.spec.service_access
        if access is None:
            continue
        for service in access.services:
            if service.name not in catalog:
                yield f"MailDomain {domain.key}", f"CatalogService {service.name} is not declared"
        default = access.default_role_ref
        if default is not None and default.name not in links.roles.get(domain.key, {}):
            yield f"MailDomain {domain.key}", f"MailDomainRole {default.name} (its default) is not declared"


def _of_subjects(domains: Iterable[ResourceKey], charter: Charter, links: Links) -> Iterator[tuple[str, str]]:
    known = set(domains)
    groups = {group.key for group in charter.groups}
    for binding in charter.bindings:
        where = f"MailDomainRoleBinding {binding.key}"
        if binding.domain_key not in known:
            yield where, f"MailDomain {binding.domain_key} is not declared"
        elif binding.spec.role_ref.name not in links.roles.get(binding.domain_key, {}):
            yield where, f"MailDomainRole {binding.role_key} is not declared"
        yield from _missing_groups(where, binding.metadata.namespace, binding.spec.subjects, groups)
    for role in charter.roles:
        subjects = role.spec.impersonation.subjects if role.spec.impersonation else None
        yield from _missing_groups(f"MailDomainRole {role.key}", role.metadata.namespace, subjects or (), groups)


def _missing_groups(
    where: str, namespace: str, subjects: Iterable[Subject], groups: set[ResourceKey]
) -> Iterator[tuple[str, str]]:
    for subject in subjects:
        if subject.name is not None and ResourceKey(namespace, subject.name) not in groups:
            yield where, f"MailDomainGroup {namespace}/{subject.name} is not declared"
