"""May this MailDomain be managed at all? References, consumers and claims, decided before any answer counts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from controller.planning.facts import Claim
from controller.planning.features import ALL_FEATURES, Features
from controller.resources.conditions import Reason
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import EntitlementSource

CLAIM_GRACE = 600.0
"""Seconds for which a claim outlives its resource in complete lists."""

_EPOCH = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """One declared domain and whether it may act."""

    resource: MailDomain
    sources: tuple[ResourceKey, ...]
    """Its sources when all are there and admit it; empty otherwise."""
    refusal: Reason | None = None
    """Why it may not act: NotAuthorized, SourceNotFound, FeatureDisabled, DomainClaimConflict, ForeignOwner.
    None = it may."""
    curtailed: bool = False
    """Whether a feature flag has taken `deniedAdmins` out of `resource`; the rest is carried out."""

    @property
    def admitted(self) -> bool:
        """Whether it may act."""
        return self.refusal is None


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What decides between resources that claim one domain name."""

    owner: str
    claims: Mapping[DomainName, Claim]
    """The recorded winners, of every owner."""
    absent_for: Mapping[DomainName, float] | None
    """Seconds for which the recorded winner has been gone from complete lists; absent = it was there just now.
    None in file mode, where the files are all there is."""

    def keeps(self, domain: DomainName) -> ResourceKey | None:
        """The recorded winner that still holds the name, present or not."""
        claim = self.claims.get(domain)
        if claim is None or claim.owner != self.owner or self.absent_for is None:
            return None
        return claim.resource if self.absent_for.get(domain, 0.0) < CLAIM_GRACE else None


def resolve(
    maildomains: Sequence[MailDomain],
    sources: Mapping[ResourceKey, EntitlementSource],
    *,
    source_namespaces: Collection[str] | None,
    rules: ClaimRules,
    features: Features = ALL_FEATURES,
) -> tuple[Standing, ...]:
    """Decide for each MailDomain whether it may act, in the order given.

    `source_namespaces` are those whose sources are honoured; None = all (file mode). A resource that is not
    authorised claims nothing, so a squatter can't win a name.
    """
    references = {
        item.key: _references(item, sources, source_namespaces)
        or (None if features.allow_creation(item) else Reason.FEATURE_DISABLED)
        for item in maildomains
    }
    contenders: dict[DomainName, list[MailDomain]] = {}
    for item in maildomains:
        if references[item.key] is None:
            contenders.setdefault(item.domain, []).append(item)
    winners = {domain: _winner(items, rules.keeps(domain)) for domain, items in contenders.items()}
    return tuple(_curtailed(_standing(item, references[item.key], winners, rules), features) for item in maildomains)


def _curtailed(standing: Standing, features: Features) -> Standing:
    resource = standing.resource
    if features.allow_denials(resource):
        return standing
    spec = resource.spec.model_copy(update={"denied_admins": ()})
    return replace(standing, resource=resource.model_copy(update={"spec": spec}), curtailed=True)


def new_claims(
    standings: Sequence[Standing], claims: Mapping[DomainName, Claim]
) -> tuple[tuple[DomainName, ResourceKey], ...]:
    """The winners that are not recorded yet. In sync there are none (invariant 4)."""
    return tuple(
        (standing.resource.domain, standing.resource.key)
        for standing in standings
        if standing.admitted
        and ((claim := claims.get(standing.resource.domain)) is None or claim.resource != standing.resource.key)
    )


def _references(
    item: MailDomain, sources: Mapping[ResourceKey, EntitlementSource], honoured: Collection[str] | None
) -> Reason | None:
    for key in item.source_keys:
        if honoured is not None and key.namespace not in honoured:
            return Reason.NOT_AUTHORIZED
        source = sources.get(key)
        if source is None:
            return Reason.SOURCE_NOT_FOUND if key.namespace == item.metadata.namespace else Reason.NOT_AUTHORIZED
        if not source.serves(item.metadata.namespace, item.domain):
            return Reason.NOT_AUTHORIZED
    return None


def _winner(items: list[MailDomain], keeps: ResourceKey | None) -> ResourceKey:
    if keeps is not None:
        return keeps
    oldest = min(items, key=lambda item: (item.metadata.creation_timestamp or _EPOCH, item.metadata.uid, item.key))
    return oldest.key


def _standing(
    item: MailDomain, refusal: Reason | None, winners: Mapping[DomainName, ResourceKey], rules: ClaimRules
) -> Standing:
    if refusal is None:
        claim = rules.claims.get(item.domain)
        if claim is not None and claim.owner != rules.owner:
            refusal = Reason.FOREIGN_OWNER
        elif winners[item.domain] != item.key:
            refusal = Reason.DOMAIN_CLAIM_CONFLICT
    return Standing(item, () if refusal else item.source_keys, refusal)
