"""Who is meant by an e-mail? Users by the folded form of their address; more than one active user is nobody (D13)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.planning.facts import User, UserId
from controller.resources.names import Email


@dataclass(frozen=True, slots=True)
class Identities:
    """All users, looked up by e-mail. Matching folds A-Z and IDNA only (invariant 7)."""

    first: Mapping[str, UserId]
    """The first user of any state, by `Email.key`."""
    sharing: Mapping[str, tuple[UserId, ...]]
    """All of them, where they are several: nearly none of a hundred thousand shares."""
    ambiguous: frozenset[UserId]
    """Active users who share their e-mail with another active user: never granted anything."""

    def having(self, email: Email) -> tuple[UserId, ...]:
        """Every user, active or not, who has this e-mail."""
        first = self.first.get(email.key)
        return self.sharing.get(email.key, (first,)) if first is not None else ()

    def matching(self, emails: Iterable[Email]) -> frozenset[UserId]:
        """Every user, active or not, whose e-mail is one of these. For protected and denied administrators."""
        return frozenset(user for email in emails for user in self.having(email))

    def unmatched(self, emails: Iterable[Email]) -> int:
        """How many of these e-mails belong to nobody yet (D1: pending, never created)."""
        return sum(email.key not in self.first for email in emails)


def identify(users: Mapping[UserId, User]) -> Identities:
    """Index the users by e-mail. Users without one match nothing and are never asked (D24)."""
    found: dict[str, UserId] = {}
    sharing: dict[str, tuple[UserId, ...]] = {}
    for user in users.values():
        if user.email is not None:
            key = user.email.key
            first = found.setdefault(key, user.id)
            if first != user.id:
                sharing[key] = (*sharing.get(key, (first,)), user.id)
    active = (tuple(user for user in group if users[user].active) for group in sharing.values())
    return Identities(found, sharing, frozenset(user for group in active if len(group) > 1 for user in group))


def askable(user: User) -> bool:
    """Whether a source is asked about this user: active, with an e-mail. A missing `sub` does not matter (A-48)."""
    return user.active and user.email is not None
