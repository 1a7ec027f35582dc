"""Has an organization bought a service? DeployCenter's `can_access`, asked of the service's own source (A-70).

One question an organization and service, with the siret that is meant and no other: the pivots and claims that open
answers about administrators would open the door of somebody else here.
"""

from controller.entitlements.source import Reply, Source
from controller.planning.facts import Subject, UserId
from controller.resources.names import Email
from controller.resources.source import EntitlementSource, Organization

_NOBODY = UserId("")


def for_subscriptions(source: EntitlementSource) -> EntitlementSource:
    """The same source, asking with the siret of the question alone."""
    center = source.spec.provider.deploy_center
    if center is None:
        return source
    plain = center.model_copy(update={"organization": Organization()})
    provider = source.spec.provider.model_copy(update={"deploy_center": plain})
    return source.model_copy(update={"spec": source.spec.model_copy(update={"provider": provider})})


async def ask_subscription(source: Source, siret: str, probe: Email) -> Reply:
    """Ask whether the organization has an active subscription. Never raises."""
    return await source.ask(Subject(_NOBODY, probe, sirets=(siret,)))
