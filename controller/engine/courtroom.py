"""Who may open what, asked again and again? What is declared and who is there, kept fresh beside the questions.

The rules are those of `review`. Whoever a question names is looked up in the mail database for that question, and so
is whose the domain is; where somebody acts as another, it is also looked whether the right is declared as it was.
Whether a service is bought is read from the rows that the operator keeps, so that no question waits for a source.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from controller.errors import Unavailable
from controller.maildb.census import Population
from controller.maildb.database import MailDatabase
from controller.maildb.docket import Docket
from controller.maildb.pulse import Pulse
from controller.permissions.realm import Court, Realm, Usable, convene
from controller.permissions.resolver import Question, Verdict, resolve
from controller.planning.difference import locate
from controller.planning.facts import Claim, DomainId
from controller.resources.charter import Charter
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, Email, ResourceKey, canonical_domain

log = structlog.get_logger(__name__)

LOOK_AGAIN = 2.5
"""Seconds after which it is looked again, beside the questions, what is declared and who has which e-mail."""
FRESH = 5.0
"""Seconds after which nobody acts as somebody else before that was looked at."""
STALE = 30.0
"""Seconds after which nothing is answered before that was looked at."""


class Declared(Protocol):
    """Where declarations stand."""

    async def changed(self) -> tuple[tuple[MailDomain, ...], Charter] | None:
        """Everything that is declared, or None while that is what it was. Raises `Unavailable` or `NotAuthorized`."""
        ...

    async def stands(self, domain: ResourceKey) -> bool:
        """Whether rights to act as somebody in this domain are declared as `changed` has told last. Raises as that."""
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
    rows: Mapping[DomainName, DomainId]
    looked_at: float
    purchases: dict[DomainId, "_Purchases"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Purchases:
    """What the rows of a domain say about subscriptions, as of a mark of theirs."""

    mark: tuple[str, str]
    bought: Mapping[str, bool]


class Courtroom:
    """Answers questions, any number at a time."""

    def __init__(self, database: MailDatabase, declared: Declared, clock: Callable[[], float]) -> None:
        self._database = database
        self._declared = declared
        self._clock = clock
        self._told: tuple[tuple[MailDomain, ...], Charter] | None = None
        self._session: _Session | None = None
        self._looking: asyncio.Task[_Session] | None = None

    async def answer(self, question: Question) -> Verdict:
        """Answer one question, and journal it where somebody is let in as another one.

        Raises `InvalidInput` for a question that makes no sense, `NotKnown`, and `Unavailable` while it is not known
        what is declared and who is there, or the journal can't be written.
        """
        session = await self._current(STALE if question.acting_as is None else FRESH)
        realm = _realm(session, question)
        if question.acting_as is not None and realm is not None and not await self._stands(session, realm):
            session = await self._anew()
            realm = _realm(session, question)
        return await asyncio.to_thread(self._answer, session, realm, question)

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    # --- one question ---

    def _answer(self, session: _Session, realm: Realm | None, question: Question) -> Verdict:
        """Blocks."""
        if realm is None:
            return resolve({}, session.population.census, question)
        row = session.rows.get(realm.domain) if Usable.UNKNOWN in realm.services.values() else None
        docket = self._database.docket(realm.domain, row, _named(session, question))
        if not self._is_ours(docket, realm):
            return resolve({}, docket.census, question)
        if row is not None and docket.mark is not None:
            realm = _bought(realm, self._purchases(session, row, docket.mark))
        verdict = resolve({realm.domain: realm}, docket.census, question)
        if verdict.actor is not None and verdict.subject is not None:
            opened = [each.service for each in verdict.services if each.allowed]
            self._database.note_acting_as(realm.domain, verdict.actor.id, verdict.subject.id, opened)
        return verdict

    def _is_ours(self, docket: Docket, realm: Realm) -> bool:
        claim = docket.claim
        return claim is not None and claim.owner == self._database.owner and claim.resource == realm.key

    def _purchases(self, session: _Session, row: DomainId, mark: tuple[str, str]) -> Mapping[str, bool]:
        """Read again where the rows say something else than when they were read last."""
        known = session.purchases.get(row)
        if known is None or known.mark != mark:
            known = session.purchases[row] = _Purchases(mark, self._database.purchases(row))
        return known.bought

    # --- looking ---

    async def _stands(self, session: _Session, realm: Realm) -> bool:
        """Whether rights to act as somebody are declared now as the session has them."""
        told = self._told is None or self._told[0] is session.domains
        return told and await self._declared.stands(realm.key)

    async def _current(self, oldest: float) -> _Session:
        """What is known, not older than that; beside the answer it is looked again."""
        known = self._session
        age = self._clock() - known.looked_at if known is not None else STALE
        if known is not None and age < LOOK_AGAIN:
            return known
        looking = self._look_again()
        if known is not None and age < oldest:
            return known
        return await asyncio.shield(looking)

    async def _anew(self) -> _Session:
        """What is there from now on: a look that has begun before may have seen what was before."""
        if self._looking is not None and not self._looking.done():
            await asyncio.wait([self._looking])
        return await asyncio.shield(self._look_again())

    def _look_again(self) -> "asyncio.Task[_Session]":
        """One look at a time."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="look")
            self._looking.add_done_callback(_heard)
        return self._looking

    async def _look(self) -> _Session:
        now = self._clock()
        # What is told once is kept: the database may be away just then.
        self._told = await self._declared.changed() or self._told
        if self._told is None:
            raise Unavailable("it is not known yet what is declared")
        self._session = await asyncio.to_thread(self._read, *self._told, self._session, now)
        return self._session

    def _read(self, domains: tuple[MailDomain, ...], charter: Charter, known: _Session | None, now: float) -> _Session:
        """Blocks. What has not changed is neither read nor compiled again: questions want the processor as well."""
        pulse, claims = self._database.pulse(), self._database.claims()
        if known is not None and known.pulse == pulse:
            population, rows = known.population, known.rows
        else:
            population = self._database.population()
            rows = {name: found.row.id for name, found in locate(population.domains).items() if found.row is not None}
        if known is not None and known.domains is domains and known.claims == claims:
            return replace(known, pulse=pulse, population=population, rows=rows, looked_at=now)
        acting = [
            item for item in domains if (claim := claims.get(item.domain)) is not None and claim.resource == item.key
        ]
        court = convene(acting, charter, {})
        return _Session(domains, charter, pulse, population, claims, court, rows, now)


def _realm(session: _Session, question: Question) -> Realm | None:
    """The domain that is asked about, if it decides on services."""
    name = canonical_domain(question.domain or "")
    return session.court.realms.get(name) if name is not None else None


def _named(session: _Session, question: Question) -> frozenset[str]:
    """The ids of everybody who has, or had a moment ago, an e-mail that the question names."""
    keys = {Email(email).key for email in (question.actor, question.acting_as) if email}
    by_key = session.population.census.by_key
    return frozenset(person.id for key in keys for person in by_key.get(key, ()))


def _bought(realm: Realm, bought: Mapping[str, bool]) -> Realm:
    """The same domain with what its rows say about subscriptions."""
    usable = {True: Usable.YES, False: Usable.NOT_SUBSCRIBED, None: Usable.UNKNOWN}
    services = {
        name: usable[bought.get(name)] if state is Usable.UNKNOWN else state for name, state in realm.services.items()
    }
    return replace(realm, services=services)


def _heard(task: asyncio.Task[_Session]) -> None:
    """A look that fails is told by the question that waits for it, or by one that comes when it has lasted."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("look_failed", error=type(error).__name__)
