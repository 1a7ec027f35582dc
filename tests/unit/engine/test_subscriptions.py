"""What is known of subscriptions: asked once an organization and service, kept for a while, never guessed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller.engine.roster import Roster, Secrets
from controller.engine.subscriptions import Subscriptions, wanted_purchases
from controller.entitlements.source import Reply, Source
from controller.planning.facts import AnswerReason, DomainId, Entitled, MailDomainRow, Subject
from controller.resources.charter import Charter
from controller.resources.documents import parse_source
from controller.resources.maildomain import DomainOrganization
from controller.resources.names import ResourceKey
from controller.resources.source import EntitlementSource
from tests.support.permissions import bought, maildomain

COMMUNE, TOWN = ResourceKey("org", "commune"), ResourceKey("org", "town")


def domain(name: str, siret: str | None = None) -> Any:
    found = maildomain(name, domain=f"{name}.example", services=["drive", "meet"])
    organization = DomainOrganization(siret=siret) if siret else None
    return found.model_copy(update={"spec": found.spec.model_copy(update={"organization": organization})})


def row(name: str, siret: str | None) -> MailDomainRow:
    return MailDomainRow(DomainId(f"id-{name}"), f"{name}.example", alias=False, siret=siret)


def source(name: str, **spec: Any) -> EntitlementSource:
    metadata = {"name": name, "namespace": "platform"}
    document = {"apiVersion": "maildomain.dev/v1alpha1", "kind": "EntitlementSource", "metadata": metadata}
    return parse_source(document | {"spec": {"provider": {"local": {}}, **spec}}, strict=True)


@dataclass
class Shop:
    """The source of one service: who has bought it, by siret; None says nothing."""

    key: ResourceKey
    workers: int = 2
    sold: dict[str, bool | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def ask(self, subject: Subject) -> Reply:
        (siret,) = subject.sirets
        self.asked.append(siret)
        return Reply(Entitled(frozenset()), can_access=self.sold.get(siret))

    async def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class Shops(Roster):
    """Those that are open."""

    shops: Mapping[ResourceKey, Shop] = field(default_factory=dict)

    async def update(
        self, sources: Iterable[EntitlementSource], secrets: Secrets
    ) -> tuple[Mapping[ResourceKey, Source], Mapping[ResourceKey, AnswerReason]]:
        return {item.key: self.shops[item.key] for item in sources if item.key in self.shops}, {}


@dataclass
class Market:
    """One service that is bought, and a clock."""

    shop: Shop = field(default_factory=lambda: Shop(ResourceKey("platform", "drive")))
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.known = Subscriptions(lambda: self.now, Shops(shops={self.shop.key: self.shop}))

    async def open(self, *domains: Any, rows: tuple[MailDomainRow, ...] = (), **spec: Any) -> None:
        charter = Charter.of([bought("drive")])
        self.known.want(wanted_purchases(domains, charter, rows))
        await self.known.open(charter, [source("drive", **spec)], lambda *_: "")

    async def ask(self, seconds: float = 0.0) -> bool:
        self.now += seconds
        return any([await self.known.ask(*item) for item in self.known.due().items()])


async def test_an_organization_is_asked_about_once_however_many_domains_it_has() -> None:
    market = Market(Shop(ResourceKey("platform", "drive"), sold={"1" * 14: True}))
    await market.open(domain("commune", "1" * 14), domain("town", "1" * 14))
    assert market.known.unasked() == {COMMUNE, TOWN}

    assert await market.ask()
    assert market.shop.asked == ["1" * 14]
    assert market.known.subscribed() == {(COMMUNE, "drive"): True, (TOWN, "drive"): True}
    assert market.known.unasked() == frozenset()


async def test_the_organization_is_the_declared_one_else_the_stored_one_else_nobody_is_asked() -> None:
    market = Market()
    rows = (row("commune", "2" * 14), row("town", "2" * 14), row("village", None))
    await market.open(domain("commune", "1" * 14), domain("town"), domain("village"), rows=rows)
    await market.ask()

    assert sorted(market.shop.asked) == ["1" * 14, "2" * 14]
    assert ResourceKey("org", "village") not in market.known.unasked()


async def test_it_is_asked_again_after_an_interval_and_news_is_what_differs() -> None:
    market = Market(Shop(ResourceKey("platform", "drive"), sold={"1" * 14: True}))
    await market.open(domain("commune", "1" * 14), interval="10m")
    await market.ask()
    assert market.known.due() == {}
    assert await market.ask(601) is False
    market.shop.sold.clear()
    market.shop.sold["1" * 14] = False
    assert await market.ask(601) is True
    assert market.known.subscribed() == {(COMMUNE, "drive"): False}


async def test_a_source_that_is_down_leaves_what_it_said_until_that_is_stale() -> None:
    market = Market(Shop(ResourceKey("platform", "drive"), sold={"1" * 14: True}))
    await market.open(domain("commune", "1" * 14), interval="10m", staleAfter="30m")
    await market.ask()
    market.shop.sold.clear()
    assert [await market.ask(601) for _ in range(2)] == [False, False]
    assert market.known.subscribed() == {(COMMUNE, "drive"): True}
    assert await market.ask(601) is True, "it is told once that it is not known any more"
    assert market.known.subscribed() == {}
    assert market.known.unasked() == frozenset(), "it has been asked: what depends on it is decided as not known"
    assert await market.ask(601) is False


@pytest.mark.parametrize("why", ["not open", "suspended"])
async def test_a_source_that_cannot_be_asked_says_nothing_and_is_looked_for_again(why: str) -> None:
    market = Market(Shop(ResourceKey("platform", "other" if why == "not open" else "drive"), sold={"1" * 14: True}))
    await market.open(domain("commune", "1" * 14), suspend=why == "suspended")
    assert await market.ask()
    assert (market.known.subscribed(), market.known.unasked()) == ({}, frozenset())
    assert (market.shop.asked, market.known.due()) == ([], {})
    market.now += 601
    assert list(market.known.due().values()) == [[("drive", "1" * 14)]]


async def test_what_is_declared_no_more_is_forgotten() -> None:
    market = Market(Shop(ResourceKey("platform", "drive"), sold={"1" * 14: True}))
    await market.open(domain("commune", "1" * 14))
    await market.ask()
    await market.open()
    assert (market.known.subscribed(), market.known.due()) == ({}, {})
