"""Which sources are open? Clients kept while their provider and their Secrets stay the same, replaced when not."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from controller.engine.world import World
from controller.entitlements.isolation import Isolated
from controller.entitlements.opening import fingerprint, open_source
from controller.entitlements.pacing import Lanes
from controller.entitlements.source import Source
from controller.errors import ControllerError, ProviderUnusable, SecretMissing
from controller.planning.facts import AnswerReason
from controller.planning.features import ALL_FEATURES, Features
from controller.resources.model import SecretKeyRef
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSource

log = structlog.get_logger(__name__)

Secrets = Callable[[str, SecretKeyRef], str]
"""Namespace and reference to the text of one key. Raises `SecretMissing`."""


async def read_secrets(world: World, sources: Iterable[EntitlementSource]) -> Secrets:
    """Read the Secrets that these sources name, each once, by name. What is missing is missing when it is asked for.

    Raises `ClusterUnavailable`.
    """
    names = {(item.metadata.namespace, ref.name) for item in sources for ref in item.spec.provider.secret_refs}
    found: dict[tuple[str, str], Mapping[str, bytes]] = {}
    for namespace, name in sorted(names):
        with suppress(SecretMissing):
            found[namespace, name] = await world.read_secret(namespace, name)

    def text(namespace: str, reference: SecretKeyRef) -> str:
        value = found.get((namespace, reference.name), {}).get(reference.key)
        if value is None:
            raise SecretMissing(f"Secret {namespace}/{reference.name} has no readable key {reference.key}")
        return value.decode(errors="replace")

    return text


@dataclass(frozen=True, slots=True)
class Roster:
    """The open clients, by resource. A rotated key or a changed provider opens a new client (content-keyed)."""

    lanes: Lanes = field(default_factory=Lanes)
    features: Features = ALL_FEATURES
    _open: dict[ResourceKey, tuple[str, Source]] = field(default_factory=dict)
    _told: dict[ResourceKey, str] = field(default_factory=dict)

    async def update(
        self, sources: Iterable[EntitlementSource], secrets: Secrets
    ) -> tuple[Mapping[ResourceKey, Source], Mapping[ResourceKey, AnswerReason]]:
        """Open, keep and close clients; return those that are open, and why the other sources are not."""
        closed: dict[ResourceKey, AnswerReason] = {}
        wanted = set()
        for item in sources:
            wanted.add(item.key)
            if not self.features.allow_source(item):
                closed[item.key] = AnswerReason.FEATURE_DISABLED
                await self._close(item.key)
                continue
            try:
                content = fingerprint(item, _for(item, secrets))
                if self._open.get(item.key, ("", None))[0] != content:
                    fresh = Isolated(open_source(item, _for(item, secrets), self.lanes))
                    await self._close(item.key)
                    self._open[item.key] = (content, fresh)
            except ControllerError as error:
                unusable = isinstance(error, ProviderUnusable)
                closed[item.key] = AnswerReason.PROVIDER_UNUSABLE if unusable else AnswerReason.SECRET_MISSING
                self._tell(item.key, error)
                await self._close(item.key)
        for key in self._open.keys() - wanted:
            await self._close(key)
        return {key: source for key, (_, source) in self._open.items()}, closed

    async def close(self) -> None:
        """Close every client."""
        for key in list(self._open):
            await self._close(key)

    def _tell(self, key: ResourceKey, error: ControllerError) -> None:
        """Say once what the fixed text of the condition leaves open. A Secret is told of by whoever reads it."""
        text = str(error)
        if not isinstance(error, SecretMissing) and self._told.get(key) != text:
            self._told[key] = text
            log.warning("source_not_opened", source=str(key), detail=text)

    async def _close(self, key: ResourceKey) -> None:
        _, source = self._open.pop(key, ("", None))
        if source is not None:
            await source.close()


def _for(item: EntitlementSource, secrets: Secrets) -> Callable[[SecretKeyRef], str]:
    return lambda reference: secrets(item.metadata.namespace, reference)
