"""Who is meant by an e-mail? Users by the folded form of their address; more than one active user is nobody (D13)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.planning.facts import User, UserId
from controller.resources.names import Email


@dataclass(frozen=True, slots=True)
class Identities:
    """All users, looked up by e-mail. Matching folds A-Z and IDNA only (invariant 7)."""

    by_key: Mapping[str, tuple[UserId, ...]]
    """Users of any state, by `Email.key`."""
    ambiguous: frozenset[UserId]
    """Active users who share their e-mail with another active user: never granted anything."""

    def matching(self, emails: Iterable[Email]) -> frozenset[UserId]:
        """Every user, active or not, whose e-mail is one of these. For protected and denied administrators."""
        return frozenset(user for email in emails for user in self.by_key.get(email.key, ()))

    def unmatched(self, emails: Iterable[Email]) -> int:
        """How many of these e-mails belong to nobody yet (D1: pending, never created)."""
        return sum(email.key not in self.by_key for email in emails)


def identify(users: Mapping[UserId, User]) -> Identities:
    """Index the users by e-mail. Users without one match nothing and are never asked (D24)."""
    by_key: dict[str, tuple[UserId, ...]] = {}
    for user in users.values():
        if user.email is not None:
            key = user.email.key
            by_key[key] = (*by_key[key], user.id) if key in by_key else (user.id,)
    shared = (tuple(user for user in group if users[user].active) for group in by_key.values() if len(group) > 1)
    return Identities(by_key, frozenset(user for group in shared if len(group) > 1 for user in group))


def askable(user: User) -> bool:
    """Whether a source is asked about this user: active, with an e-mail. A missing `sub` does not matter (A-48)."""
    return user.active and user.email is not None
