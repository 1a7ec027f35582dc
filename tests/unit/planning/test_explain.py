"""What is said about one access: the word for what happens to it, why, and the facts behind it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.planning.changes import Changes
from controller.planning.explain import Explanation, Said, explain
from controller.planning.facts import (
    AnswerReason,
    CaseState,
    Contest,
    DomainId,
    Holding,
    Origin,
    Pin,
    Unavailable,
    UserId,
)
from controller.planning.plan import plan
from controller.resources.conditions import Reason
from controller.resources.names import DomainName, Email
from tests.support.planning import START, PlanningWorld, maildomain, source_key

X = DomainName("x.fr")
Scene = Callable[[PlanningWorld], object]


def town(**spec: Any) -> PlanningWorld:
    """One domain with a source, ada who may hold a row, and bob who is nobody's concern."""
    world = PlanningWorld()
    world.domain("x.fr", adoption="Never", **spec)
    world.user("bob@x.fr")
    world.user("ada@x.fr")
    return world


def explained(world: PlanningWorld, email: str = "ada@x.fr", domain: DomainName = X) -> Explanation:
    question = world.question()
    return explain(question, plan(question), Email(email), domain)


def pinned(world: PlanningWorld) -> None:
    row = world.admin("ada", "x.fr")
    world.pins[row.id] = Pin(row.id, row.domain, row.user, X, START)


def contested(world: PlanningWorld) -> None:
    row = world.admin("ada", "x.fr", owned=False)
    world.contests[Holding(row.domain, row.user)] = Contest(removed=True)


def vanishing(world: PlanningWorld) -> None:
    world.contests[Holding(DomainId("x.fr"), UserId("ada"))] = Contest(vanished=True)


def left(world: PlanningWorld, *, source_is_silent: bool = False) -> None:
    world.admin("ada", "x.fr")
    world.says("ada", verdict=Unavailable(AnswerReason.TIMEOUT) if source_is_silent else None)


def confirmed(world: PlanningWorld) -> None:
    left(world)
    world.apply()
    world.repeat(seconds=31)


SCENES: dict[str, tuple[dict[str, Any], tuple[Scene, ...], tuple[str, str]]] = {
    "named": ({}, (lambda world: world.says("ada", "x.fr"),), ("Grant", "Entitled")),
    "named, and held by a limit": (
        {"limits": {"maxAdmins": 1}},
        (lambda world: world.admin("bob", "x.fr"), lambda world: world.says("ada", "x.fr")),
        ("Hold", "Entitled"),
    ),
    "named, in a mode that grants nothing": (
        {"mode": "Observe"},
        (lambda world: world.says("ada", "x.fr"),),
        ("Nothing", "SuppressedByMode"),
    ),
    "named, and removed by somebody again and again": (
        {},
        (lambda world: world.says("ada", "x.fr"), vanishing),
        ("Nothing", "Contested"),
    ),
    "not named": ({}, (lambda world: world.says("ada"),), ("Nothing", "NotEntitled")),
    "here and named": (
        {},
        (lambda world: world.admin("ada", "x.fr"), lambda world: world.says("ada", "x.fr")),
        ("Keep", "Entitled"),
    ),
    "another role": ({}, (lambda world: world.admin("ada", "x.fr", admin=False),), ("Keep", "RoleConflict")),
    "protected": ({"protectedAdmins": ["ada@x.fr"]}, (left,), ("Keep", "Protected")),
    "restored": ({}, (pinned,), ("Keep", "Pinned")),
    "brought back": ({}, (contested,), ("Keep", "Contested")),
    "made by hand": ({}, (lambda world: world.admin("ada", "x.fr", owned=False),), ("Keep", "Foreign")),
    "inactive": ({}, (left, lambda world: world.user("ada@x.fr", active=False)), ("Keep", "Inactive")),
    "a silent source": ({}, (lambda world: left(world, source_is_silent=True),), ("Keep", "SourceSilent")),
    "no longer named": ({}, (left,), ("Suspect", "NotEntitled")),
    "no longer named, in a mode that revokes nothing": (
        {"mode": "GrantOnly"},
        (left,),
        ("Keep", "SuppressedByMode"),
    ),
    "no longer named, asked twice": ({}, (confirmed,), ("Revoke", "NotEntitled")),
    "no longer named, and held by a limit": ({"limits": {"minAdmins": 1}}, (confirmed,), ("Hold", "NotEntitled")),
    "given up": ({"mode": "Withdraw"}, (left,), ("Hold", "Withdrawn")),
    "denied": ({"deniedAdmins": ["ada@x.fr"]}, (left,), ("Revoke", "Denied")),
    "denied and named, in a mode that revokes nothing": (
        {"mode": "GrantOnly", "deniedAdmins": ["ada@x.fr"]},
        (left, lambda world: world.says("ada", "x.fr")),
        ("Keep", "SuppressedByMode"),
    ),
    "no admission": ({"sourceRefs": [{"name": "gone"}]}, (left,), ("Nothing", "SourceNotFound")),
    "no row of the domain": ({"row": False}, (), ("Nothing", "DomainMissing")),
}


@pytest.mark.parametrize(("spec", "scenes", "said"), SCENES.values(), ids=SCENES)
def test_every_fate_has_its_word_and_its_reason(
    spec: dict[str, Any], scenes: tuple[Scene, ...], said: tuple[str, str]
) -> None:
    world = town(**spec)
    for scene in scenes:
        scene(world)
    found = explained(world)
    assert (found.decision, found.because) == said


def test_who_is_nobody_and_what_is_undeclared_is_said() -> None:
    world = town()
    world.says("bob", "x.fr")
    nobody = explained(world, "nobody@x.fr")
    assert (nobody.decision, nobody.because, nobody.users, nobody.said) == ("Nothing", "NoSuchUser", (), ())
    assert (nobody.active, nobody.access, nobody.hold) == (False, None, None)
    elsewhere = explained(world, domain=DomainName("y.fr"))
    assert (elsewhere.decision, elsewhere.because) == ("Nothing", "NotDeclared")
    assert (elsewhere.declared, elsewhere.mode, elsewhere.refusal, elsewhere.said) == (None, None, None, ())
    assert (elsewhere.protected, elsewhere.denied) == (False, False)


def test_every_fact_behind_a_held_revocation_is_shown() -> None:
    world = town(limits={"minAdmins": 2}, protectedAdmins=["bob@x.fr"])
    world.admin("bob", "x.fr")
    left(world)
    world.confirm_and_apply()
    world.later(seconds=5)
    found = explained(world)
    (hold,) = world.holds.values()
    (case,) = world.cases.values()
    assert (found.domain, found.declared, found.mode) == (X, world.declared[0].key, "Enforce")
    assert (found.users, found.active, found.ambiguous, found.refusal) == (("ada",), True, False, None)
    assert (found.protected, found.denied) == (False, False)
    assert found.access == next(row for row in world.rows.values() if row.user == "ada")
    assert found.owned is Origin.GRANTED
    assert (found.case, found.hold) == (case, hold)
    assert case.state is CaseState.HELD
    assert found.said == (
        Said(source_key(), "Entitled", None, names_domain=False, fresh=True, age=5.0, can_access=None, siret=None),
    )
    other = explained(world, "bob@x.fr")
    assert (other.protected, other.case, other.hold) == (True, None, None)


def test_what_each_source_said_is_shown_with_its_age() -> None:
    world = town(sourceRefs=[{"name": "deploycenter"}, {"name": "second"}, {"name": "third"}])
    for name in ("second", "third"):
        world.add_source(name)
    world.says("ada", "x.fr", "y.fr")
    world.later(minutes=31)
    world.says("ada", source="third", verdict=Unavailable(AnswerReason.TIMEOUT))
    first, second, third = explained(world).said
    assert (first.answer, first.names_domain, first.fresh, first.age) == ("Entitled", True, False, 31 * 60.0)
    assert second == Said(source_key("second"), "NotAsked", None, names_domain=False, fresh=False, age=None)
    assert (third.answer, third.reason, third.names_domain, third.fresh) == ("Unavailable", "Timeout", False, True)


def test_what_opened_an_answer_is_shown() -> None:
    world = town()
    world.says("ada", "x.fr")
    answers = world.answers[source_key()]
    (user,) = answers
    answers[user] = replace(answers[user], can_access=False, siret="21590350100017")
    (said,) = explained(world).said
    assert (said.can_access, said.siret) == (False, "21590350100017")


def test_of_several_users_the_active_one_is_meant() -> None:
    world = town()
    world.user("ADA@x.fr", name="a-former-ada", active=False)
    world.users = dict(reversed(world.users.items()))
    world.says("ada", "x.fr")
    found = explained(world)
    assert (found.decision, found.active, found.ambiguous) == ("Grant", True, False)
    assert found.users == ("a-former-ada", "ada")
    world.user("ADA@x.fr", name="a-former-ada")
    assert (explained(world).ambiguous, explained(world).decision) == (True, "Nothing")


def test_the_resource_that_acts_speaks_for_its_domain() -> None:
    world = town()
    moments = {"late": "2026-02-01T00:00:00Z", "early": "2026-01-01T00:00:00Z"}
    late, early = (
        maildomain("x.fr", name=name, metadata={"creationTimestamp": moment}) for name, moment in moments.items()
    )
    world.declared = [late, early]
    world.says("ada", "x.fr")
    found = explained(world)
    assert (found.declared, found.refusal, found.decision) == (early.key, None, "Grant")
    world.sources.clear()
    assert (explained(world).declared, explained(world).decision) == (late.key, "Nothing"), "else one that would"


def test_a_refused_resource_says_why() -> None:
    found = explained(town(sourceRefs=[{"name": "gone"}]))
    assert (found.refusal, found.declared is not None) == (Reason.SOURCE_NOT_FOUND, True)
    alias = town()
    alias.domain("z.fr", alias=True)
    assert explained(alias, domain=DomainName("z.fr")).refusal is Reason.DOMAIN_ALIAS


def test_an_explanation_changes_nothing() -> None:
    world = town()
    explained(world)
    assert world.plan().changes != Changes()
    assert not world.rows
    assert DomainId("x.fr") not in world.snapshot().accesses
