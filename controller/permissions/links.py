"""Which roles does a domain get from another one? Found, translated and named, in memory (C7).

Nothing is written: what a link brings is gone with the link, and an upstream edit holds at once. A role of the
downstream that follows an upstream role (`spec.upstreamRef`) keeps its own name beside the upstream's, because bindings
call it by that. Impersonation is never brought.
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from controller.permissions.roles import Role, Roles
from controller.resources.catalogservice import CatalogService
from controller.resources.charter import Charter
from controller.resources.link import ConflictPolicy, LocalServices, MailDomainLink
from controller.resources.names import ResourceKey
from controller.resources.role import Choice
from controller.resources.serviceaccess import DomainServiceAccess

NO_ROLES: Roles = {}


class LinkState(StrEnum):
    """What came of a link. Everything but `SYNCED` brings nothing at all."""

    SYNCED = "Synced"
    ROLE_CONFLICT = "RoleConflict"
    NOT_ALLOWED = "NotAllowed"
    CYCLE = "Cycle"
    UPSTREAM_MISSING = "UpstreamMissing"
    DOWNSTREAM_MISSING = "DownstreamMissing"


@dataclass(frozen=True, slots=True)
class BroughtRole:
    """One role that a link brings."""

    upstream: str
    downstream: str
    """What bindings of the downstream call it."""
    mapped: frozenset[str]
    """Services of the downstream that stand for what the upstream role lists."""
    unmapped: tuple[str, ...]
    """Services of the upstream without a counterpart, in order: they are dropped, and said (B-45)."""


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What one link did."""

    key: ResourceKey
    state: LinkState
    roles: tuple[BroughtRole, ...] = ()
    conflicts: tuple[str, ...] = ()
    """Every upstream name that a role of the downstream has without following it (B-42)."""

    @property
    def all_mapped(self) -> bool:
        """Whether every service of every role has a counterpart."""
        return not any(role.unmapped for role in self.roles)


@dataclass(frozen=True, slots=True)
class Links:
    """The roles of every deciding domain, those of links included, and a report on each link."""

    roles: Mapping[ResourceKey, Roles]
    reports: Mapping[ResourceKey, LinkReport]


def bring_roles(
    deciding: Mapping[ResourceKey, DomainServiceAccess], charter: Charter, local: Mapping[str, Roles]
) -> Links:
    """Resolve all links. `deciding` are the MailDomains that decide on services, `local` the roles by namespace."""
    bringer = _Bringer(deciding, local, _by_downstream(charter.links), _stands_for(charter.services))
    for key in deciding:
        bringer.roles_of(key)
    for link in charter.links:
        if link.downstream_key not in deciding:
            bringer.reports[link.key] = LinkReport(link.key, LinkState.DOWNSTREAM_MISSING)
    return Links(bringer.roles, bringer.reports)


def _by_downstream(links: Iterable[MailDomainLink]) -> Mapping[ResourceKey, Sequence[MailDomainLink]]:
    """The links of each domain, the oldest first: a new one never changes what an old one brings."""
    found: dict[ResourceKey, list[MailDomainLink]] = defaultdict(list)
    for link in sorted(links, key=_age):
        found[link.downstream_key].append(link)
    return found


def _age(link: MailDomainLink) -> tuple[float, ResourceKey]:
    created = link.metadata.creation_timestamp
    return (created.timestamp() if created else 0.0, link.key)


def _stands_for(services: Iterable[CatalogService]) -> Mapping[str, frozenset[str]]:
    """Which services stand for one of an upstream. More than one may (B-46)."""
    found: dict[str, set[str]] = defaultdict(set)
    for service in services:
        if service.spec.upstream_ref is not None:
            found[service.spec.upstream_ref.name].add(service.id)
    return {upstream: frozenset(ids) for upstream, ids in found.items()}


@dataclass(slots=True)
class _Bringer:
    """Upstreams before downstreams, each domain once."""

    deciding: Mapping[ResourceKey, DomainServiceAccess]
    local: Mapping[str, Roles]
    links: Mapping[ResourceKey, Sequence[MailDomainLink]]
    stands_for: Mapping[str, frozenset[str]]
    roles: dict[ResourceKey, Roles] = field(default_factory=dict)
    reports: dict[ResourceKey, LinkReport] = field(default_factory=dict)

    def roles_of(self, key: ResourceKey) -> Roles:
        """The roles of one domain, those that links bring included."""
        if key not in self.roles:
            own = roles = self.local.get(key.namespace, NO_ROLES)
            for link in self.links.get(key, ()):
                self.reports[link.key], brought = self._bring(link, own, roles)
                # Most domains have no link: those of one namespace share their roles.
                roles = {**roles, **brought}
            self.roles[key] = roles
        return self.roles[key]

    def _bring(self, link: MailDomainLink, own: Roles, taken: Roles) -> tuple[LinkReport, Roles]:
        if (state := self._refusal(link)) is not LinkState.SYNCED:
            return LinkReport(link.key, state), NO_ROLES
        upstream = self.roles_of(link.upstream_key)
        wanted = [
            role for name, role in sorted(upstream.items()) if name == role.name and link.spec.roles.matches(name)
        ]
        followers = _followers(wanted, own)
        conflicts = tuple(role.name for role in wanted if _conflicts(role, followers.get(role.name), taken))
        if conflicts and link.spec.conflict_policy is ConflictPolicy.REFUSE:
            return LinkReport(link.key, LinkState.ROLE_CONFLICT, conflicts=conflicts), NO_ROLES
        reports, brought = self._named(link, wanted, followers, own, taken)
        return LinkReport(link.key, LinkState.SYNCED, reports, conflicts), brought

    def _named(
        self, link: MailDomainLink, wanted: Sequence[Role], followers: Mapping[str, Role], own: Roles, taken: Roles
    ) -> tuple[tuple[BroughtRole, ...], Roles]:
        """Each role under a name of its own: the one that it has upstream, unless another role has it here."""
        brought: dict[str, Role] = {}
        reports = []
        names = set(taken)
        for role in wanted:
            follower = followers.get(role.name)
            adopted = follower or _adoptable(own.get(role.name))
            keeps_name = adopted is not None and adopted.name == role.name
            name = role.name if keeps_name else _free(role.name, names)
            names.add(name)
            brought[name], report = self._translated(link, role, name, adopted)
            if follower is not None:
                brought[follower.name] = brought[name]
            reports.append(report)
        return tuple(reports), brought

    def _refusal(self, link: MailDomainLink) -> LinkState:
        consent = self.deciding.get(link.upstream_key)
        if consent is None:
            return LinkState.UPSTREAM_MISSING
        if not any(downstream.admits(link.downstream_key) for downstream in consent.allowed_downstreams):
            return LinkState.NOT_ALLOWED
        return LinkState.CYCLE if self._leads_back(link) else LinkState.SYNCED

    def _leads_back(self, link: MailDomainLink) -> bool:
        """Whether the upstream gets roles from the downstream, over any number of links."""
        seen: set[ResourceKey] = set()
        waiting = [link.upstream_key]
        while waiting:
            key = waiting.pop()
            if key == link.downstream_key:
                return True
            if key not in seen:
                seen.add(key)
                waiting.extend(further.upstream_key for further in self.links.get(key, ()))
        return False

    def _translated(self, link: MailDomainLink, role: Role, name: str, local: Role | None) -> tuple[Role, BroughtRole]:
        """The role with the services of the downstream. `All` and `None` stay what they are (B-48)."""
        listed = {service.name for service in self.deciding[link.downstream_key].services}
        counterparts = {service: self._counterparts(link, service) & listed for service in role.services}
        mapped = frozenset().union(*counterparts.values())
        unmapped = tuple(sorted(service for service, found in counterparts.items() if not found))
        keeps = local is not None and link.spec.local_services is LocalServices.KEEP
        services = mapped | (local.services if local is not None and keeps else frozenset())
        # Nothing mapped is nothing opened, never everything (B-45).
        mode = role.mode if role.mode is Choice.ALL else Choice.SELECTED if services else Choice.NONE
        joined = replace(
            role.without_impersonation(), name=name, mode=mode, services=services if mode is Choice.SELECTED else mapped
        )
        if local is not None:
            joined = replace(joined, acts_as=local.acts_as, subjects=local.subjects)
        return joined, BroughtRole(role.name, name, mapped, unmapped)

    def _counterparts(self, link: MailDomainLink, service: str) -> frozenset[str]:
        mapping = link.spec.service_mapping
        named = frozenset(pair.downstream for pair in mapping.overrides if pair.upstream == service)
        if named or not mapping.by_upstream_ref:
            return named
        return self.stands_for.get(service, frozenset())


def _followers(wanted: Sequence[Role], own: Roles) -> Mapping[str, Role]:
    """The role of the downstream that follows each upstream role: by uid, else by name (B-41)."""
    by_uid = {role.uid: role.name for role in wanted if role.uid}
    names = {role.name for role in wanted}
    found: dict[str, Role] = {}
    for exact in (True, False):
        for role in own.values():
            if role.follows is None:
                continue
            name = by_uid.get(role.follows.uid or "")
            if exact and name is not None:
                found.setdefault(name, role)
            elif not exact and name is None and role.follows.name in names:
                found.setdefault(role.follows.name, role)
    return found


def _conflicts(role: Role, follower: Role | None, taken: Roles) -> bool:
    """Whether another role has the name already."""
    return role.name in taken and (follower is None or follower.name != role.name)


def _adoptable(role: Role | None) -> Role | None:
    """A role of the same name that follows nothing: with `Overwrite` the upstream role takes its place."""
    return role if role is not None and role.follows is None else None


def _free(name: str, taken: Collection[str]) -> str:
    """The name itself, or with a number where another role has it (B-43)."""
    numbered = (f"{name}-{number}" for number in itertools.count(1))
    return next(free for free in itertools.chain((name,), numbered) if free not in taken)
