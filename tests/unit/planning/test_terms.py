"""What is revoked first after an upgrade, or after a change of what is declared, is looked at by a person."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.planning.facts import CaseState, Scope
from controller.planning.guard import CHANGE, kind_of
from controller.planning.plan import Plan
from controller.planning.terms import changed, terms_of_domain, terms_of_source
from controller.resources.maildomain import Mode
from controller.resources.names import DomainName
from controller.resources.source import EntitlementSourceSpec
from tests.support.planning import PlanningWorld, maildomain, source, source_key

SOURCE = Scope("EntitlementSource", source_key())
DOMAIN = Scope("MailDomain", source_key()._replace(name="x-fr"))
CENTER: dict[str, Any] = {
    "url": "https://dc.example/",
    "serviceId": 1,
    "apiKeySecretRef": {"name": "dc", "key": "api-key"},
}


def at_work(**spec: Any) -> PlanningWorld:
    """Two administrators of ours who are entitled, after a first wave."""
    world = PlanningWorld()
    world.add_source(provider={"deployCenter": CENTER}, confirmRevocations={"after": "0s"})
    world.domain("x.fr", **spec)
    for name in ("ada", "bob"):
        world.admin(world.user(f"{name}@x.fr"), "x.fr")
    world.all_say("x.fr")
    world.apply()
    assert not world.apply().changes, "in sync means no write"
    return world


def redeclare(world: PlanningWorld, **spec: Any) -> None:
    """Change the MailDomain."""
    world.declared = [maildomain("x.fr", **spec)]


def held(decided: Plan) -> list[tuple[Scope, str, int]]:
    return [(hold.scope, hold.limit, hold.count) for hold in decided.holds]


def _provider(world: PlanningWorld, **changes: Any) -> dict[str, Any]:
    world.add_source(provider={"deployCenter": CENTER | changes}, confirmRevocations={"after": "0s"})
    return {}


def _domain(world: PlanningWorld, **spec: Any) -> dict[str, Any]:
    redeclare(world, **spec)
    return {}


def _another_source(world: PlanningWorld) -> dict[str, Any]:
    world.add_source("other", confirmRevocations={"after": "0s"})
    world.all_say("x.fr", source="other")
    redeclare(world, sourceRefs=[{"name": "deploycenter"}, {"name": "other"}])
    return {}


CHANGES: dict[str, tuple[Callable[[PlanningWorld], dict[str, Any]], Scope, str]] = {
    "version": (lambda _: {"version": "9.9.9"}, SOURCE, "change of version"),
    "url": (
        lambda world: _provider(world, url="https://other.example/"),
        SOURCE,
        "change of provider",
    ),
    "service": (lambda world: _provider(world, serviceId=2), SOURCE, "change of provider"),
    "ownership": (lambda world: _domain(world, ownership="Authoritative"), DOMAIN, "change of ownership"),
    "sources": (_another_source, DOMAIN, "change of sourceRefs"),
}


@pytest.mark.parametrize(("change", "scope", "limit"), CHANGES.values(), ids=CHANGES)
def test_the_first_revocations_after_a_change_wait_and_the_approval_accepts_it(
    change: Callable[[PlanningWorld], dict[str, Any]], scope: Scope, limit: str
) -> None:
    world = at_work()
    options = change(world)
    for key in world.sources:
        world.says("ada", source=key.name)
    decided = world.apply(**options)
    assert held(decided) == [(scope, limit, 1)]
    assert world.admins_of("x.fr") == {"ada", "bob"}
    assert not world.apply(**options).changes, "it waits without a write"

    world.apply(approve=[decided.holds[0].id], **options)
    assert world.admins_of("x.fr") == {"bob"}
    assert not world.apply(**options).changes
    redeclare(world, **_kept(world), limits={"revocations": {"max": "100%"}})
    for key in world.sources:
        world.says("bob", source=key.name)
    assert held(world.apply(**options)) == [], "from the next wave on it is as always"
    assert world.admins_of("x.fr") == set()


def _kept(world: PlanningWorld) -> dict[str, Any]:
    """What was declared, for another declaration that adds to it."""
    (declared,) = world.declared
    spec: dict[str, Any] = declared.spec.model_dump(by_alias=True, mode="json", include={"ownership", "source_refs"})
    return spec


def test_a_first_start_holds_nothing() -> None:
    world = PlanningWorld()
    world.add_source(confirmRevocations={"after": "0s"})
    world.domain("x.fr")
    for name in ("ada", "bob"):
        world.admin(world.user(f"{name}@x.fr"), "x.fr")
    world.says("ada")
    world.says("bob", "x.fr")
    assert held(world.apply()) == []
    assert world.admins_of("x.fr") == {"bob"}


@pytest.mark.parametrize("before", ["Observe", "GrantOnly"])
def test_a_domain_that_is_enforced_from_now_on_shows_what_it_would_remove(before: str) -> None:
    world = at_work(mode=before)
    world.says("ada")
    assert not world.apply().holds
    redeclare(world, mode="Enforce")
    decided = world.apply()
    assert held(decided) == [(DOMAIN, "change of mode", 1)]
    world.apply(approve=[decided.holds[0].id])
    assert world.admins_of("x.fr") == {"bob"}


def test_the_terms_of_the_first_pass_are_noted_before_any_wave_has_ended() -> None:
    world = PlanningWorld()
    world.domain("x.fr")
    world.states[source_key()] = {"complete": False, "judging": False}
    world.apply()
    assert world.claims[DomainName("x.fr")].terms == terms_of_domain(world.declared[0], Mode.ENFORCE)
    assert not world.apply().changes


def test_an_approved_change_counts_also_while_another_limit_holds() -> None:
    world = at_work(limits={"minAdmins": 1})
    for name in ("ada", "bob"):
        world.says(name)
    (hold,) = world.apply(version="9.9.9").holds
    assert held(world.apply(version="9.9.9", approve=[hold.id])) == [(DOMAIN, "minAdmins 1", 2)]
    assert world.known[SOURCE].terms == terms_of_source(world.sources[source_key()].spec, "9.9.9")


def test_a_wave_that_removes_nothing_accepts_the_change() -> None:
    world = at_work()
    assert world.plan().terms_changed is False
    assert world.apply(version="9.9.9").terms_changed is True
    assert world.plan(version="9.9.9").terms_changed is False
    world.says("ada")
    assert held(world.apply(version="9.9.9")) == []
    assert world.admins_of("x.fr") == {"bob"}


@pytest.mark.parametrize("state", [{"complete": False}, {"judging": False}])
def test_only_a_complete_wave_accepts_it(state: dict[str, bool]) -> None:
    world = at_work()
    world.states[source_key()] = state
    assert not world.apply(version="9.9.9").changes
    world.states.clear()
    world.says("ada")
    assert held(world.apply(version="9.9.9")) == [(SOURCE, "change of version", 1)]


def test_a_suspended_domain_accepts_no_change() -> None:
    world = at_work()
    before = world.claims[DomainName("x.fr")]
    redeclare(world, ownership="Authoritative", suspend=True)
    world.apply()
    assert world.claims[DomainName("x.fr")] == before
    redeclare(world, ownership="Authoritative")
    world.says("ada")
    assert held(world.apply()) == [(DOMAIN, "change of ownership", 1)]


def test_several_changes_are_named_together_and_a_source_speaks_for_its_domains() -> None:
    world = at_work(mode="GrantOnly")
    redeclare(world, mode="Enforce", ownership="Authoritative")
    world.says("ada")
    assert held(world.apply()) == [(DOMAIN, "change of mode, ownership", 1)]
    assert held(world.apply(version="9.9.9")) == [(SOURCE, "change of version", 1)]


def test_what_the_limit_holds_needs_no_second_hold_and_the_change_waits_with_it() -> None:
    world = at_work(limits={"revocations": {"max": 0}})
    redeclare(world, mode="Enforce", ownership="Authoritative", limits={"revocations": {"max": 0}})
    world.says("ada")
    assert [kind_of(hold) for hold in world.apply().holds] == ["revocations"]
    redeclare(world, mode="Enforce", ownership="Authoritative")
    assert [kind_of(hold) for hold in world.apply().holds] == [CHANGE]


def test_an_older_version_that_noted_nothing_is_another_version() -> None:
    world = at_work()
    world.known[SOURCE] = replace(world.known[SOURCE], terms=None)
    world.claims[DomainName("x.fr")] = replace(world.claims[DomainName("x.fr")], terms=None)
    world.says("ada")
    assert held(world.apply()) == [(SOURCE, "change of version", 1)]
    assert {case.state for case in world.cases.values()} == {CaseState.HELD}


def test_what_is_only_supposed_is_shown_as_it_would_be_in_the_end() -> None:
    world = at_work(mode="Observe")
    world.says("ada")
    decided = world.plan(as_if=Mode.ENFORCE, hypothetical=True, version="9.9.9")
    assert [item.access.user for item in decided.changes.revocations] == ["ada"]
    assert held(world.plan(as_if=Mode.ENFORCE)) == [(DOMAIN, "change of mode", 1)]


def test_an_emergency_revocation_waits_for_nothing() -> None:
    world = at_work()
    redeclare(world, ownership="Authoritative", deniedAdmins=["ada@x.fr"])
    world.apply(version="9.9.9")
    assert world.admins_of("x.fr") == {"bob"}


# --- what a term is ---

DECIDES = [{"url": "https://b.example/"}, {"serviceId": 7}, {"organization": {"pivotSirets": ["21590350100017"]}}]
PACE = [{"timeout": "3s"}, {"concurrency": 2}, {"requestsPerSecond": 5}]


def spec_of(**center: Any) -> EntitlementSourceSpec:
    return source(provider={"deployCenter": CENTER | center}).spec


@pytest.mark.parametrize("change", DECIDES)
def test_whose_answers_they_are_is_a_term(change: dict[str, Any]) -> None:
    assert changed(terms_of_source(spec_of(), "1"), terms_of_source(spec_of(**change), "1")) == ("provider",)


@pytest.mark.parametrize("change", PACE)
def test_the_pace_of_asking_is_none(change: dict[str, Any]) -> None:
    assert changed(terms_of_source(spec_of(), "1"), terms_of_source(spec_of(**change), "1")) == ()


def test_the_grants_of_a_static_source_are_answers_and_no_terms() -> None:
    few, many = (
        source(provider={"static": {"grants": [{"email": email, "domains": ["x.fr"]} for email in emails]}}).spec
        for emails in (["a@x.fr"], ["a@x.fr", "b@x.fr"])
    )
    assert changed(terms_of_source(few, "1"), terms_of_source(many, "1")) == ()
    assert changed(terms_of_source(few, "1"), terms_of_source(source().spec, "1")) == ("provider",)


def test_the_order_of_references_is_no_term() -> None:
    one, other = (
        maildomain("x.fr", sourceRefs=[{"name": name} for name in names]) for names in (["a", "b"], ["b", "a"])
    )
    assert terms_of_domain(one, Mode.ENFORCE) == terms_of_domain(other, Mode.ENFORCE)


@pytest.mark.parametrize(
    ("provider", "noted"),
    [
        ({"deployCenter": CENTER}, "c2cc99bbdf23"),
        ({"external": {"name": "town-hall", "config": {"town": "x"}}}, "1d4e90e1d16d"),
        ({"static": {"grants": [{"email": "a@x.fr", "domains": ["x.fr"]}]}}, "2053dbbf6ec7"),
        ({"local": {}}, "25bf8e1a2393"),
    ],
    ids=lambda provider: next(iter(provider), "") if isinstance(provider, dict) else "",
)
def test_what_is_noted_is_written_as_before(provider: dict[str, Any], noted: str) -> None:
    """What an earlier process has noted is read by a later one: other texts would hold every first wave."""
    assert terms_of_source(source(provider=provider).spec, "1") == f"version=1 provider={noted}"


@pytest.mark.parametrize(
    ("before", "now", "names"),
    [
        (None, "version=1 provider=a", ("version",)),
        ("version=1 provider=a", "version=1 provider=a", ()),
        ("version=1=2 provider=a", "version=1=3 provider=a", ("version",)),
        ("version=1=2=3 provider=a", "version=1=2=4 provider=b", ("version", "provider")),
        ("version=1", "version=1 provider=a", ("provider",)),
    ],
)
def test_what_differs_is_named(before: str | None, now: str, names: tuple[str, ...]) -> None:
    assert changed(before, now) == names
