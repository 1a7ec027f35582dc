"""Who may open what, asked again and again? What is declared and who is there, kept fresh beside the questions.

The rules are those of `review`. Whether a service is bought is read from the rows that the operator keeps, so that no
question waits for a source.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from controller.errors import Unavailable
from controller.maildb.census import Population
from controller.maildb.database import MailDatabase
from controller.maildb.pulse import Pulse
from controller.permissions.realm import Court, Realm, Usable, convene
from controller.permissions.resolver import Question, Verdict, resolve
from controller.planning.difference import NOWHERE, locate
from controller.planning.facts import Claim
from controller.resources.charter import Charter
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, canonical_domain

log = structlog.get_logger(__name__)

FRESH = 5.0
"""Seconds after which it is looked again what is declared and who is there."""
STALE = 30.0
"""Seconds after which nothing is answered before that was looked at."""


class Declared(Protocol):
    """Where declarations stand."""

    async def changed(self) -> tuple[tuple[MailDomain, ...], Charter] | None:
        """Everything that is declared, or None while that is what it was. Raises `Unavailable` or `NotAuthorized`."""
        ...


@dataclass(frozen=True, slots=True)
class _Session:
    """Everything that questions are answered from."""

    domains: tuple[MailDomain, ...]
    charter: Charter
    pulse: Pulse
    population: Population
    claims: Mapping[DomainName, Claim]
    court: Court
    looked_at: float


class Courtroom:
    """Answers questions, any number at a time."""

    def __init__(self, database: MailDatabase, declared: Declared, clock: Callable[[], float]) -> None:
        self._database = database
        self._declared = declared
        self._clock = clock
        self._session: _Session | None = None
        self._looking: asyncio.Task[_Session] | None = None

    async def answer(self, question: Question) -> Verdict:
        """Answer one question, and journal it where somebody is let in as another one.

        Raises `InvalidInput` for a question that makes no sense, `NotKnown`, and `Unavailable` while it is not known
        what is declared and who is there, or the journal can't be written.
        """
        session = await self._current()
        realms = session.court.realms
        name = canonical_domain(question.domain or "")
        realm = realms.get(name) if name is not None else None
        if realm is not None:
            realm = await asyncio.to_thread(self._with_purchases, session, realm)
            realms = {realm.domain: realm}
        verdict = resolve(realms, session.population.census, question)
        if realm is not None and verdict.actor is not None and verdict.subject is not None:
            opened = [each.service for each in verdict.services if each.allowed]
            note = self._database.note_acting_as
            await asyncio.to_thread(note, realm.domain, verdict.actor.id, verdict.subject.id, opened)
        return verdict

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _current(self) -> _Session:
        """What is known, not older than `STALE`; beside the answer it is looked again."""
        known = self._session
        age = self._clock() - known.looked_at if known is not None else STALE
        if known is not None and age < FRESH:
            return known
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(known), name="look")
            self._looking.add_done_callback(_heard)
        if known is not None and age < STALE:
            return known
        return await asyncio.shield(self._looking)

    async def _look(self, known: _Session | None) -> _Session:
        now = self._clock()
        declared = await self._declared.changed()
        if declared is None:
            if known is None:
                raise Unavailable("it is not known yet what is declared")
            declared = known.domains, known.charter
        self._session = await asyncio.to_thread(self._read, *declared, known, now)
        return self._session

    def _read(self, domains: tuple[MailDomain, ...], charter: Charter, known: _Session | None, now: float) -> _Session:
        """Blocks. What has not changed is neither read nor compiled again: questions want the processor as well."""
        pulse, claims = self._database.pulse(), self._database.claims()
        population = known.population if known is not None and known.pulse == pulse else self._database.population()
        if known is not None and known.domains is domains and known.claims == claims:
            return replace(known, pulse=pulse, population=population, looked_at=now)
        acting = [
            item for item in domains if (claim := claims.get(item.domain)) is not None and claim.resource == item.key
        ]
        return _Session(domains, charter, pulse, population, claims, convene(acting, charter, {}), now)

    def _with_purchases(self, session: _Session, realm: Realm) -> Realm:
        """The same domain with what its rows say about subscriptions."""
        row = locate(session.population.domains).get(realm.domain, NOWHERE).row
        if row is None or Usable.UNKNOWN not in realm.services.values():
            return realm
        bought: Mapping[str, bool] = self._database.purchases(row.id)
        usable = {True: Usable.YES, False: Usable.NOT_SUBSCRIBED, None: Usable.UNKNOWN}
        services = {
            name: usable[bought.get(name)] if state is Usable.UNKNOWN else state
            for name, state in realm.services.items()
        }
        return replace(realm, services=services)


def _heard(task: asyncio.Task[_Session]) -> None:
    """A look that fails is told by the question that waits for it, or by one that comes when it has lasted."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("look_failed", error=type(error).__name__)
