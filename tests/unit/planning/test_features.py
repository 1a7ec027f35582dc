"""What do the two flags take away from people, and what goes on all the same? (A-80, A-81)"""

from dataclasses import replace
from typing import Any

import pytest

from controller.engine.roster import Roster
from controller.errors import InvalidInput
from controller.planning.conditions import domain_conditions
from controller.planning.facts import AnswerReason
from controller.planning.features import Features
from controller.planning.health import examine
from controller.planning.plan import plan
from controller.planning.standing import ClaimRules, Standing, new_claims, resolve
from controller.resources.conditions import ConditionType, Reason
from controller.resources.maildomain import MailDomain
from controller.settings import read_settings
from tests.support.planning import PlanningWorld, maildomain, source

NO_CREATION = Features(maildomain_create=False)
NO_ACCESSES = Features(maildomain_manage_accesses=False)
CREATED: dict[str, Any] = {"provisioning": {"ensure": "Created"}}
BY_THE_API: dict[str, Any] = {"metadata": {"annotations": {"maildomain.dev/provisioned": "true"}}}
STATIC: dict[str, Any] = {"provider": {"static": {"grants": [{"email": "a@x.fr", "domains": ["x.fr"]}]}}}
FLAGS = ("FEATURE_MAILDOMAIN_CREATE", "FEATURE_MAILDOMAIN_MANAGE_ACCESSES")


def stand(resource: MailDomain, features: Features) -> Standing:
    origin = source()
    rules = ClaimRules("me", {}, {})
    [standing] = resolve([resource], {origin.key: origin}, source_namespaces=None, rules=rules, features=features)
    return standing


@pytest.mark.parametrize(
    ("resource", "features", "refusal"),
    [
        (maildomain("x.fr", **CREATED), NO_CREATION, Reason.FEATURE_DISABLED),
        (maildomain("x.fr", **CREATED, **BY_THE_API), NO_CREATION, None),
        (maildomain("x.fr"), NO_CREATION, None),
        (maildomain("x.fr", **CREATED), NO_ACCESSES, None),
        (maildomain("x.fr", **CREATED), Features(), None),
    ],
)
def test_creation_by_hand_is_refused_and_the_api_goes_on(
    resource: MailDomain, features: Features, refusal: Reason | None
) -> None:
    standing = stand(resource, features)
    assert standing.refusal is refusal
    assert bool(new_claims([standing], {})) == (refusal is None)


def test_denials_do_not_count_and_the_synchronisation_goes_on() -> None:
    standing = stand(maildomain("x.fr", deniedAdmins=["a@x.fr"]), NO_ACCESSES)
    assert standing.admitted
    assert standing.curtailed
    assert standing.resource.spec.denied_admins == ()
    assert stand(maildomain("x.fr", deniedAdmins=["a@x.fr"]), NO_CREATION).resource.spec.denied_admins
    assert not stand(maildomain("x.fr"), NO_ACCESSES).curtailed


def test_a_domain_whose_denials_do_not_count_says_so() -> None:
    world = PlanningWorld()
    world.domain("x.fr", deniedAdmins=["a@x.fr"])
    a = world.user("a@x.fr")
    world.says(a, "x.fr")
    question = replace(world.question(), standings=(stand(world.declared[0], NO_ACCESSES),))
    [domain] = plan(question).domains
    assert [grant.user for grant in domain.grants] == [a]
    states = question.sources.items()
    health = {key: examine(state, (), (), question.snapshot, now=question.now) for key, state in states}
    found = {item.type: item for item in domain_conditions(domain, health)}
    assert (found[ConditionType.READY].status, found[ConditionType.READY].reason) == ("False", Reason.FEATURE_DISABLED)
    assert found[ConditionType.STALLED].status == "True"


async def test_a_source_that_is_written_by_hand_is_not_asked() -> None:
    roster = Roster(features=NO_ACCESSES)
    by_hand, other = source("by-hand", **STATIC), source("other", provider={"local": {}})
    opened, closed = await roster.update([by_hand, other], lambda _, __: "")
    assert (set(opened), closed) == ({other.key}, {by_hand.key: AnswerReason.FEATURE_DISABLED})
    opened, closed = await Roster().update([by_hand], lambda _, __: "")
    assert (set(opened), closed) == ({by_hand.key}, {})


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize(
    ("text", "value"), [(None, True), ("true", True), ("1", True), ("False", False), ("0", False), ("off", False)]
)
def test_a_flag_is_true_unless_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str | None, *, value: bool
) -> None:
    for flag in FLAGS:
        monkeypatch.delenv(flag, raising=False)
    if text is not None:
        monkeypatch.setenv(name, text)
    settings = read_settings()
    assert {flag: getattr(settings, flag.lower()) for flag in FLAGS} == {**dict.fromkeys(FLAGS, True), name: value}


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("text", ["", "maybe", "2", "null", "tru"])
def test_what_is_neither_true_nor_false_ends_the_process(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(InvalidInput, match=name):
        read_settings()
