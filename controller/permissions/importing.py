"""What becomes of the restrictions that another application kept? Manifests, and the deprecated switch where needed.

The switch is turned on only for domains with a restriction that restricts (B-35): one that does not is left behind.
What is declared already is not made again, so that a second run makes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from controller.errors import InvalidInput, Problem
from controller.resources.charter import Charter
from controller.resources.documents import KINDS, parse_object
from controller.resources.group import MailDomainGroup
from controller.resources.maildomain import MailDomain
from controller.resources.model import API_VERSION, CanonicalDomain, Declared
from controller.resources.names import Email, ResourceKey
from controller.resources.restriction import GroupRow, ServiceGroupRestriction
from controller.resources.serviceaccess import LegacyGroupRestrictions

Manifest = dict[str, Any]
Present = Mapping[tuple[str, ResourceKey], MailDomainGroup | ServiceGroupRestriction]
"""What is declared already, by kind and key."""


class OldGroup(Declared):
    """A group of one domain, with the e-mails of its members."""

    name: str
    members: tuple[Email, ...]


class OldRestriction(Declared):
    """The record of one domain: whether it restricts, its rows, and the groups that they name."""

    domain: CanonicalDomain
    restrict: Annotated[bool, Field(strict=True)]
    rows: tuple[GroupRow, ...] = ()
    groups: tuple[OldGroup, ...] = ()


class OldRestrictions(Declared):
    """The export of the other application."""

    restrictions: tuple[OldRestriction, ...]


def import_restrictions(old: OldRestrictions, domains: Iterable[MailDomain], charter: Charter) -> tuple[Manifest, ...]:
    """The manifests that are missing or differ: restrictions, their groups, and MailDomains with the switch on.

    Raises `InvalidInput` with every domain that is not declared, and everything that no manifest can hold.
    """
    declared = {str(domain.domain): domain for domain in domains}
    known: tuple[MailDomainGroup | ServiceGroupRestriction, ...] = (*charter.groups, *charter.restrictions)
    present: Present = {(item.kind, item.key): item for item in known}
    made: list[Manifest] = []
    problems: list[Problem] = []
    for record in old.restrictions:
        domain = declared.get(record.domain)
        if not record.restrict:
            continue
        if domain is None or domain.spec.service_access is None:
            found = f"restricts {record.domain}, which no MailDomain with serviceAccess declares"
            problems.append(Problem("export", "restrictions", found, "declare it among the files"))
            continue
        try:
            made += [*_switched_on(domain), *_missing(record, domain.key, present)]
        except InvalidInput as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidInput(*problems)
    return tuple(made)


def _switched_on(domain: MailDomain) -> Iterator[Manifest]:
    """The MailDomain as it is declared, but for the switch; nothing when it is on."""
    access = domain.spec.service_access
    if access is not None and access.legacy_group_restrictions is LegacyGroupRestrictions.DISABLED:
        manifest = domain.model_dump(mode="json", by_alias=True, exclude_unset=True)
        manifest["spec"]["serviceAccess"]["legacyGroupRestrictions"] = LegacyGroupRestrictions.ENABLED.value
        yield manifest


def _missing(record: OldRestriction, domain: ResourceKey, present: Present) -> Iterator[Manifest]:
    rows = [row.model_dump(by_alias=True) for row in record.rows]
    spec = {"mailDomainRef": {"name": domain.name}, "restrict": True, "groups": rows}
    wanted = [_group(group, domain.namespace) for group in record.groups]
    wanted.append(_manifest("ServiceGroupRestriction", domain.namespace, domain.name, spec))
    for manifest in wanted:
        parsed = parse_object(KINDS[manifest["kind"]], manifest, strict=True)
        before = present.get((parsed.kind, parsed.key))
        if before is None or before.spec != parsed.spec:
            yield manifest


def _group(group: OldGroup, namespace: str) -> Manifest:
    return _manifest("MailDomainGroup", namespace, group.name, {"members": [each.reveal() for each in group.members]})


def _manifest(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
