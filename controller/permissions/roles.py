"""What does a role give? Compiled: services by name, people by e-mail key."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller.resources.group import MailDomainGroup
from controller.resources.names import ResourceKey
from controller.resources.role import Choice, Impersonation, MailDomainRole, Subject, UpstreamRole

Groups = Mapping[ResourceKey, frozenset[str]]
"""The members of every group, as e-mail keys. A group that does not exist has none."""

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Role:
    """One role as it holds in one domain."""

    name: str
    uid: str
    """Of the object that declares it; empty in files."""
    mode: Choice
    services: frozenset[str] = frozenset()
    """For `Selected` alone. An empty one opens nothing (B-07)."""
    acts_as: Choice = Choice.NONE
    subjects: frozenset[str] = NOBODY
    """E-mail keys, for `acts_as` `Selected` alone."""
    follows: UpstreamRole | None = None
    """The upstream role that it follows where a link brings that."""

    def without_impersonation(self) -> "Role":
        """What a link may bring of it."""
        return replace(self, acts_as=Choice.NONE, subjects=NOBODY)


Roles = Mapping[str, Role]
"""Roles by the names that bindings call them."""


def compiled_groups(groups: Iterable[MailDomainGroup]) -> Groups:
    """The members of every group."""
    return {group.key: frozenset(email.key for email in group.spec.members) for group in groups}


def compiled_roles(roles: Iterable[MailDomainRole], groups: Groups) -> Mapping[str, Roles]:
    """The roles that are declared, by namespace and name."""
    found: dict[str, dict[str, Role]] = defaultdict(dict)
    for role in roles:
        namespace, name = role.key
        access = role.spec.service_access
        acts_as, subjects = _impersonation(role.spec.impersonation, namespace, groups)
        found[namespace][name] = Role(
            name=name,
            uid=role.metadata.uid,
            mode=access.mode,
            services=frozenset(access.services or ()),
            acts_as=acts_as,
            subjects=subjects,
            follows=role.spec.upstream_ref,
        )
    return found


def _impersonation(declared: Impersonation | None, namespace: str, groups: Groups) -> tuple[Choice, frozenset[str]]:
    if declared is None:
        return Choice.NONE, NOBODY
    named = (keys_of(subject, namespace, groups) for subject in declared.subjects or ())
    return declared.mode, NOBODY.union(*named)


def keys_of(subject: Subject, namespace: str, groups: Groups) -> frozenset[str]:
    """Whom a subject names, as e-mail keys."""
    if subject.email is not None:
        return frozenset((subject.email.key,))
    return groups.get(ResourceKey(namespace, subject.name or ""), NOBODY)
