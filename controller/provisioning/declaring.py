"""What becomes of one name of a request? Created, there already, or one of a few fixed texts.

Nothing here waits for the mail application: a MailDomain is a wish, and its status says what has come of it.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from enum import StrEnum

import structlog

from controller.cluster.applying import Applied
from controller.errors import ControllerError
from controller.observability.lasting import LastingFailures
from controller.provisioning.store import Store
from controller.provisioning.template import Template, overlaid, siret_of
from controller.provisioning.wanted import Wanted
from controller.resources.names import DomainName

log = structlog.get_logger(__name__)

TRIES = 5
"""How often a name is looked at again because somebody else was quicker."""


class Outcome(StrEnum):
    """What became of a name that was no trouble."""

    CREATED = "created"
    EXISTING = "existing"


class Trouble(StrEnum):
    """Why a name came to nothing. The texts are all that a caller learns (A-76)."""

    NOT_A_NAME = "This is no domain name."
    OTHER_ORGANIZATION = "The domain is declared for another organization: nothing was changed."
    OWNED_BY_OTHERS = "A field is managed by somebody else, with another value: change it there."
    ELSEWHERE = "The domain is declared elsewhere, with other values: change it there."
    REFUSED = "The MailDomain was refused: the template or a name does not fit."
    NOT_NOW = "The MailDomain could not be stored now: send the name again."


class Declaring:
    """How names become MailDomains. Calls about one name take turns."""

    def __init__(self, store: Store, template: Template) -> None:
        self._store = store
        self._template = template
        self._lasting = LastingFailures()
        self._turns: dict[DomainName, tuple[asyncio.Lock, int]] = {}

    async def expect(self, domains: Collection[DomainName]) -> None:
        """So many names are about to be declared. What fails here fails again, and is told, for each of them."""
        try:
            await self._store.prepare(domains)
        except ControllerError as error:
            log.warning("declaring_failed", error=type(error).__name__, detail=str(error))

    async def declare(self, domain: DomainName, wanted: Wanted) -> Outcome | Trouble:
        """See to it that the name is declared as is wanted. Never raises for what the cluster does."""
        try:
            async with self._turn(domain):
                for _ in range(TRIES):
                    outcome = await self._try(domain, wanted)
                    if outcome is not None:
                        self._lasting.worked("declaring")
                        return outcome
        except ControllerError as error:
            log.warning("declaring_failed", error=type(error).__name__, detail=str(error))
            self._lasting.failed("declaring", type(error).__name__)
        return Trouble.NOT_NOW

    async def _try(self, domain: DomainName, wanted: Wanted) -> Outcome | Trouble | None:
        """One attempt; None when somebody else has changed the object meanwhile."""
        found = await self._store.find(domain)
        if found is None:
            return _said(await self._store.apply(self._template.made(domain, wanted)))
        if wanted.siret is not None and siret_of(found.spec) not in (None, wanted.siret):
            return Trouble.OTHER_ORGANIZATION
        if overlaid({"spec": found.spec}, wanted)["spec"] == found.spec:
            return Outcome.EXISTING
        if found.ours is None:
            return Trouble.ELSEWHERE
        said = _said(await self._store.apply(overlaid(found.ours, wanted)))
        return Outcome.EXISTING if said is Outcome.CREATED else said

    @asynccontextmanager
    async def _turn(self, domain: DomainName) -> AsyncIterator[None]:
        lock, waiting = self._turns.get(domain, (asyncio.Lock(), 0))
        self._turns[domain] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns[domain]
            if waiting == 1:
                del self._turns[domain]
            else:
                self._turns[domain] = (lock, waiting - 1)


def _said(applied: Applied) -> Outcome | Trouble | None:
    return {
        Applied.CREATED: Outcome.CREATED,
        Applied.CHANGED: Outcome.EXISTING,
        Applied.OWNED_BY_OTHERS: Trouble.OWNED_BY_OTHERS,
        Applied.OUTDATED: None,
        Applied.REFUSED: Trouble.REFUSED,
    }[applied]
