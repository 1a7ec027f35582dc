"""Can the declared sources be asked? Each is opened as a term would open it, and no question is put about anybody."""

from collections.abc import Iterable, Mapping
from functools import partial

from controller.engine.roster import read_secrets
from controller.engine.world import World
from controller.entitlements.deploycenter import DeployCenterSource
from controller.entitlements.opening import open_source
from controller.entitlements.pacing import Lanes
from controller.errors import ControllerError
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSource


async def unreachable(world: World, sources: Iterable[EntitlementSource]) -> Mapping[ResourceKey, str]:
    """Why sources can't be asked, by resource; those that can are left out, suspended ones are not tried.

    Of an external provider only its opening is tried. Raises `ClusterUnavailable`.
    """
    tried = [item for item in sources if not item.spec.suspend]
    secrets = await read_secrets(world, tried)
    lanes = Lanes()
    found = {}
    for item in tried:
        try:
            source = open_source(item, partial(secrets, item.metadata.namespace), lanes)
        except ControllerError as error:
            found[item.key] = str(error)
            continue
        try:
            reason = await source.knock() if isinstance(source, DeployCenterSource) else None
        finally:
            await source.close()
        if reason is not None:
            found[item.key] = f"does not answer as it should ({reason.value})"
    return found
