"""What does one run on files do about services? It asks about subscriptions once, decides, and writes or only shows."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.engine.roster import Roster, Secrets
from controller.engine.services import ServiceOutcome, ServiceQuestion, carry_out, foresee, plan_services
from controller.engine.subscriptions import Subscriptions, wanted_purchases
from controller.maildb.database import MailDatabase
from controller.maildb.services import ServiceFacts
from controller.planning.changes import Changes
from controller.planning.guard import Approvals
from controller.resources.documents import Declarations
from controller.resources.maildomain import MailDomain


async def decide_once(
    database: MailDatabase,
    declared: Declarations,
    domains: Sequence[MailDomain],
    *,
    approvals: Approvals,
    secrets: Secrets,
    roster: Roster,
    changes: Changes | None = None,
) -> ServiceOutcome | None:
    """Decide for `domains`, which may act and are claimed; None where none decides on services, and none ever did.

    A source that does not answer leaves what it would say unknown. With `changes` nothing is written, but
    said what would be once these stand, which needs SELECT alone and works before the first `migrate`. Raises
    `PlanOutdated`, `Frozen`, `MigrationNeeded` and what else the database raises.
    """
    deciding = any(domain.spec.service_access is not None for domain in domains)
    if not deciding and not await asyncio.to_thread(database.has_service_rows):
        return None
    facts = await asyncio.to_thread(database.service_facts)
    subscriptions = Subscriptions(time.monotonic, roster)
    subscriptions.want(wanted_purchases(domains, declared.charter, facts.population.domains))
    try:
        await subscriptions.open(declared.charter, declared.sources, secrets)
        await subscriptions.ask_everything()
    finally:
        await subscriptions.close()
    subscribed = subscriptions.subscribed()

    def question(facts: ServiceFacts) -> ServiceQuestion:
        return ServiceQuestion(domains, declared.charter, subscribed, facts, approvals=approvals)

    if changes is None:
        outcome = await asyncio.to_thread(_write, database, question, facts)
    else:
        planned = plan_services(question(_once(changes, facts)))
        outcome = await asyncio.to_thread(foresee, database, planned)
    return replace(outcome, accounts=subscriptions.accounts())


_Ask = Callable[[ServiceFacts], ServiceQuestion]


def _once(changes: Changes, facts: ServiceFacts) -> ServiceFacts:
    """The facts once these changes stand."""
    granted = {(grant.name, grant.user) for grant in changes.grants}
    revoked = {(one.name, one.access.user) for one in changes.revocations}
    if not granted and not revoked:
        return facts
    population = facts.population
    return replace(facts, population=replace(population, census=population.census.after(granted, revoked)))


def _write(database: MailDatabase, question: _Ask, facts: ServiceFacts) -> ServiceOutcome:
    """In sync writes nothing, and keeps nobody from the database."""
    planned = plan_services(question(facts))
    if planned.settled:
        return ServiceOutcome(planned.question, planned.court, planned.decided)
    with database.seized():
        return carry_out(database, plan_services(question(database.service_facts())))
