"""May somebody open a service? One question on files, a source asked only where the answer hangs on it."""

import asyncio
import time
from dataclasses import dataclass

from controller.engine.roster import Roster, Secrets
from controller.engine.subscriptions import Subscriptions, wanted_purchases
from controller.maildb.census import Population
from controller.maildb.database import MailDatabase
from controller.permissions.realm import Court, Realm, Subscribed, convene
from controller.permissions.resolver import Question, Verdict, resolve
from controller.resources.documents import Declarations
from controller.resources.names import canonical_domain


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The answer, and whether the journal holds it, which only acting as somebody needs."""

    verdict: Verdict
    journaled: bool


async def review_once(
    database: MailDatabase, declared: Declarations, question: Question, *, secrets: Secrets
) -> Reviewed:
    """Answer one question.

    Raises `InvalidInput` for one that makes no sense, `NotKnown`, and what the database raises. When acting as
    somebody is granted and the journal can't be written, nothing is answered.
    """
    population = await asyncio.to_thread(database.population)
    court = convene(declared.domains, declared.charter, {})
    verdict = resolve(court.realms, population.census, question)
    realm = _realm(court, question)
    if not verdict.known:
        subscribed = await _subscriptions(realm, declared, population, secrets)
        court = convene(declared.domains, declared.charter, subscribed)
        verdict = resolve(court.realms, population.census, question)
    return Reviewed(verdict, await asyncio.to_thread(_journal, database, realm, verdict))


def _journal(database: MailDatabase, realm: Realm, verdict: Verdict) -> bool:
    """Note in the journal that somebody was let in as another one; False when that is not what was answered."""
    if verdict.actor is None or verdict.subject is None:
        return False
    opened = [each.service for each in verdict.services if each.allowed]
    return database.note_acting_as(realm.domain, verdict.actor.id, verdict.subject.id, opened)


def _realm(court: Court, question: Question) -> Realm:
    """The domain that a question has been answered for."""
    return next(realm for name, realm in court.realms.items() if name == canonical_domain(question.domain or ""))


async def _subscriptions(realm: Realm, declared: Declarations, population: Population, secrets: Secrets) -> Subscribed:
    """Ask about every service of one domain that is bought; a source that does not answer leaves it unknown."""
    domains = (item for item in declared.domains if item.key == realm.key)
    subscriptions = Subscriptions(time.monotonic, Roster())
    subscriptions.want(wanted_purchases(domains, declared.charter, population.domains))
    try:
        await subscriptions.open(declared.charter, declared.sources, secrets)
        await subscriptions.ask_everything()
        return subscriptions.subscribed()
    finally:
        await subscriptions.close()
