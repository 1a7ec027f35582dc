"""Whom do hints name? Users by their e-mail, and the administrators of a domain, source by source."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from controller.engine.answers import AnswerBook
from controller.planning.difference import NOWHERE, locate
from controller.planning.facts import Hint, Listed, Snapshot, UserId
from controller.planning.identity import askable
from controller.planning.standing import Standing
from controller.resources.names import DomainName, Email, ResourceKey


def whom_to_ask(
    hints: Collection[Hint], snapshot: Snapshot, standings: Sequence[Standing], books: Mapping[ResourceKey, AnswerBook]
) -> Mapping[ResourceKey, frozenset[UserId]]:
    """The users whom each source is to be asked about, of those whom the application knows.

    A user is asked about at every source in use; of a domain, at its own sources, its administrators and whomever an
    answer names for it.
    """
    people = _people({hint.key for hint in hints if isinstance(hint, Email)}, snapshot)
    domains = {hint for hint in hints if not isinstance(hint, Email)}
    found: dict[ResourceKey, set[UserId]] = defaultdict(set)
    places = locate(snapshot.domains) if domains else {}
    for standing in standings:
        domain = standing.resource.domain
        row = places.get(domain, NOWHERE).row if domain in domains else None
        admins = {access.user for access in snapshot.accesses.get(row.id, ()) if access.admin} if row else set()
        for key in standing.sources:
            found[key] |= people | admins
            if domain in domains and key in books:
                found[key] |= _named_for(domain, books[key])
    return {key: frozenset(users) for key, users in found.items() if users}


def _people(emails: Collection[str], snapshot: Snapshot) -> set[UserId]:
    if not emails:
        return set()
    users = snapshot.users.items()
    return {key for key, row in users if row.email is not None and askable(row) and row.email.key in emails}


def _named_for(domain: DomainName, book: AnswerBook) -> set[UserId]:
    return {
        user
        for user, answer in book.answers.items()
        if isinstance(answer.verdict, Listed) and domain in answer.verdict.domains
    }
