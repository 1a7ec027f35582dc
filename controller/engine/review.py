"""May somebody open a service? One question on files, a source asked only where the answer hangs on it."""

import asyncio
from dataclasses import dataclass

from controller.engine.roster import Roster, Secrets
from controller.entitlements.subscriptions import ask_subscription, for_subscriptions
from controller.maildb.census import Population
from controller.maildb.database import MailDatabase
from controller.permissions.realm import Court, Realm, Subscribed, Usable, convene
from controller.permissions.resolver import Question, Verdict, resolve
from controller.planning.difference import NOWHERE, locate
from controller.resources.catalogservice import Subscription
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


def _realm(court: Court, question: Question) -> Realm:
    """The domain that a question has been answered for."""
    return next(realm for name, realm in court.realms.items() if name == canonical_domain(question.domain or ""))


async def _subscriptions(realm: Realm, declared: Declarations, population: Population, secrets: Secrets) -> Subscribed:
    """Ask about every service of the domain that is not known; each source that does not answer leaves it so."""
    siret = _siret(realm, declared, population)
    wanted = {
        service.id: service.spec.subscription
        for service in declared.charter.services
        if service.spec.subscription is not None and realm.services.get(service.id) is Usable.UNKNOWN
    }
    keys = {subscription.source_ref.key for subscription in wanted.values()}
    asked = [for_subscriptions(item) for item in declared.sources if item.key in keys and not item.spec.suspend]
    roster = Roster()
    try:
        sources, _ = await roster.update(asked, secrets)

        async def ask(subscription: Subscription) -> bool | None:
            source = sources.get(subscription.source_ref.key)
            return await ask_subscription(source, siret, subscription.probe_email) if source and siret else None

        answers = await asyncio.gather(*map(ask, wanted.values()))
    finally:
        await roster.close()
    return {(realm.key, name): said for name, said in zip(wanted, answers, strict=True) if said is not None}


def _siret(realm: Realm, declared: Declarations, population: Population) -> str | None:
    """Whose subscription counts: the organization that is declared, else the one that the domain is stored with."""
    organization = next(item.spec.organization for item in declared.domains if item.key == realm.key)
    if organization is not None:
        return organization.siret
    row = locate(population.domains).get(realm.domain, NOWHERE).row
    return row.siret if row is not None else None


def _journal(database: MailDatabase, realm: Realm, verdict: Verdict) -> bool:
    if verdict.actor is None or verdict.subject is None:
        return False
    opened = [each.service for each in verdict.services if each.allowed]
    return database.note_acting_as(realm.domain, verdict.actor.id, verdict.subject.id, opened)
