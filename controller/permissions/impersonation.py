"""Who may act as whom? A right that a binding gives in one domain, looked at anew each time (B-38)."""

from collections.abc import Iterator

from controller.permissions.census import Census, Person
from controller.permissions.realm import Realm
from controller.permissions.roles import Role
from controller.permissions.standing import is_member, members
from controller.resources.role import Choice


def may_act_as(realm: Realm, census: Census, actor: Person, subject: Person) -> bool:
    """Whether a role that a binding gives the actor lets them act as the subject, now.

    Neither the default role nor an ADMIN row gives it, and without an `impersonationMode` nobody has it.
    """
    return _may_be_acted_as(realm, census, subject) and any(
        _covers(role, subject) for role in _impersonating(realm, census, actor)
    )


def subjects_of(realm: Realm, census: Census, actor: Person) -> Iterator[Person]:
    """Everybody whom one actor may act as, themselves left out; for rows."""
    roles = list(_impersonating(realm, census, actor))
    if not roles:
        return
    for subject in members(realm, census):
        if (
            subject.id != actor.id
            and any(_covers(role, subject) for role in roles)
            and _may_be_acted_as(realm, census, subject)
        ):
            yield subject


def _impersonating(realm: Realm, census: Census, actor: Person) -> Iterator[Role]:
    if realm.impersonation is None or not actor.active or actor.id in census.ambiguous:
        return
    held = (realm.roles[name] for name in realm.held.get(actor.key, ()) if name in realm.roles)
    yield from (role for role in held if role.acts_as is not Choice.NONE)


def _covers(role: Role, subject: Person) -> bool:
    return role.acts_as is Choice.ALL or subject.key in role.subjects


def _may_be_acted_as(realm: Realm, census: Census, subject: Person) -> bool:
    """A member of this domain whose identity opens nothing elsewhere: no superuser, no administrator of another one."""
    elsewhere = census.administers.get(subject.id, frozenset()) - {realm.domain}
    return (
        is_member(realm, census, subject)
        and subject.id not in census.ambiguous
        and not subject.superuser
        and not elsewhere
    )
