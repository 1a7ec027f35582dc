"""Who else can be asked? Providers that other packages bring, found by name, and held to what every answer is held to.

A distribution offers one under the entry point group `maildomain_controller.entitlements`: a callable that takes the
resource's key, its config and the texts of its Secrets, and returns a `Source` (docs/providers.md).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from controller.entitlements.answer import MAX_NAMES, read_names
from controller.entitlements.source import Reply, Source
from controller.errors import ProviderUnusable
from controller.planning.facts import (
    AnswerReason,
    Entitled,
    Listed,
    Malformed,
    Partial,
    Subject,
    Unavailable,
    Unknown,
    Verdict,
)
from controller.resources.names import ResourceKey
from controller.resources.source import External

GROUP = "maildomain_controller.entitlements"
"""The entry point group under which providers are found."""
PATIENCE = 120.0
"""Seconds after which an ask is given up, whatever the provider's own timeouts are."""
MOST_WORKERS = 32
"""Asks that may be under way at once."""

_TOO_LATE = Reply(Unavailable(AnswerReason.TIMEOUT))
_WRONG_SHAPE = Malformed(AnswerReason.WRONG_SHAPE)


class Factory(Protocol):
    """What the entry point is: it opens one source. Whatever it raises makes the source unusable."""

    def __call__(self, key: ResourceKey, config: Mapping[str, str | int], secrets: tuple[str, ...]) -> Source:
        """Open a source; nothing is asked yet. `secrets` are the texts of `secretRefs`, in their order."""
        ...


def open_external(key: ResourceKey, spec: External, secrets: tuple[str, ...]) -> Source:
    """Open the provider of this name.

    Raises `ProviderUnusable` when no distribution offers it, several do, or it refuses.
    """
    found = {point.value: point for point in entry_points(group=GROUP, name=spec.name)}
    place = f"EntitlementSource {key}: the external provider {spec.name}"
    if not found:
        raise ProviderUnusable(f"{place} is not installed: install the package that offers it, or correct the name")
    if len(found) > 1:
        raise ProviderUnusable(f"{place} is offered by several packages: remove all but one")
    [point] = found.values()
    try:
        factory = cast("Factory", point.load())
        return ExternalSource(key, factory(key, spec.config, secrets))
    except Exception as error:  # noqa: BLE001  # it is not our code: whatever it raises is its refusal
        remedy = "see its documentation for config and secretRefs"
        raise ProviderUnusable(f"{place} can't be opened ({type(error).__name__}): {remedy}") from None


class ExternalSource:
    """A provider of somebody else: it is waited for so long and no longer, and read like bytes from the wire."""

    def __init__(self, key: ResourceKey, provider: Source) -> None:
        self.key = key
        self.workers = max(1, min(MOST_WORKERS, int(provider.workers)))
        self._provider = provider

    async def ask(self, subject: Subject) -> Reply:
        """Ask the provider."""
        try:
            async with asyncio.timeout(PATIENCE):
                said: object = await self._provider.ask(subject)
        except TimeoutError:
            return _TOO_LATE
        return read_reply(said)

    async def close(self) -> None:
        """Close the provider, whatever it thinks of it."""
        with suppress(Exception):
            await self._provider.close()


def read_reply(said: object) -> Reply:
    """Take over what a provider said as far as it can be relied on: types, names, and nothing that may name a person.

    Names are read as those of DeployCenter are: made canonical, and one that is no domain name makes the list partial.
    """
    if not isinstance(said, Reply):
        return Reply(_WRONG_SHAPE)
    can_access: Any = said.can_access
    siret: Any = said.siret
    requests: Any = said.requests
    counted = requests if isinstance(requests, int) and 0 <= requests <= MAX_NAMES else 0
    verdict = _verdict(said.verdict) if isinstance(can_access, bool | None) else _WRONG_SHAPE
    if isinstance(verdict, Malformed):
        return Reply(verdict, requests=counted)
    known = siret if isinstance(siret, str) and siret.isascii() and siret.isdigit() else None
    return Reply(verdict, can_access, siret=known, requests=counted)


def _verdict(said: Any) -> Verdict:
    if isinstance(said, Listed):
        domains: Any = said.domains
        if not isinstance(domains, frozenset | set | list | tuple):
            return _WRONG_SHAPE
        read = read_names(list(domains))
        return Partial(read.domains) if isinstance(said, Partial) and isinstance(read, Entitled) else read
    if isinstance(said, Unknown | Malformed | Unavailable) and isinstance(said.reason, AnswerReason):
        return said
    return _WRONG_SHAPE
