"""What happens to a row, event by event, under each policy? The rows of docs/outcomes.md."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.planning.facts import (
    AnswerReason,
    Contest,
    DomainId,
    Entitled,
    Freeze,
    Malformed,
    Partial,
    Pin,
    Unavailable,
    Unknown,
)
from controller.resources.names import DomainName, Email
from tests.support.outcomes import ANNE, BERT, DOMAIN, HELD_BY, POLICIES, TABLE, Event, Scene
from tests.support.planning import START, source_key

Play = Callable[[Scene], Any]
OTHER = DomainName("autre.fr")
TWO_SOURCES = {"sourceRefs": [{"name": "deploycenter"}, {"name": "second"}]}
SOMEBODY = f"canary@{DOMAIN}"


def at(event: Event, *plays: Play) -> tuple[Event, Play]:
    """One scene: what is there, and what happens, in this order."""

    def play(scene: Scene) -> None:
        for item in plays:
            item(scene)

    return event, play


# --- what is there ---


def ours(scene: Scene) -> None:
    scene.row()


def by_hand(scene: Scene) -> None:
    scene.row(ours=False)


def member(scene: Scene) -> None:
    scene.row(ours=False, admin=False)


def removed_row(scene: Scene) -> None:
    del scene.world.rows[scene.row()]


def pinned_row(scene: Scene) -> None:
    row = scene.row()
    scene.world.pins[row] = Pin(row, DomainId(DOMAIN), BERT, DOMAIN, START)


def twin(scene: Scene) -> None:
    said_of_bert = scene.world.answers[source_key()][BERT].verdict
    scene.world.says(scene.world.user(f"{BERT}@{DOMAIN}", name="twin"), verdict=said_of_bert)


def crowd(scene: Scene) -> None:
    for number in range(8):
        scene.world.admin(scene.world.user(f"u{number}@{DOMAIN}"), DOMAIN)


# --- what is declared ---


def declared(**spec: Any) -> Play:
    return lambda scene: scene.spec.update(spec)


def limited(**limits: Any) -> Play:
    return declared(limits=limits)


def second_source(scene: Scene) -> None:
    scene.world.add_source("second")
    scene.spec.update(TWO_SOURCES)


# --- what happens ---


def named(scene: Scene) -> None:
    scene.says(DOMAIN)


def empty(scene: Scene) -> None:
    scene.says()


def confirmed_empty(scene: Scene) -> None:
    scene.says_nothing_twice()


def others(scene: Scene) -> None:
    scene.says(OTHER)


def said(verdict: Any) -> Play:
    return lambda scene: scene.says(verdict=verdict)


def second_says(verdict: Any) -> Play:
    return lambda scene: scene.world.says(BERT, source="second", verdict=verdict)


def all_empty(scene: Scene) -> None:
    scene.world.all_say()


def inactive(scene: Scene) -> None:
    scene.changes(active=False)
    scene.again = False


def renamed(scene: Scene) -> None:
    scene.changes(email=Email(f"bertrand@{DOMAIN}"))


def refused(scene: Scene) -> None:
    scene.source(refusal=AnswerReason.UNAUTHENTICATED, complete=False)


def no_wave(scene: Scene) -> None:
    scene.source(complete=False)


def wrong_canary(scene: Scene) -> None:
    scene.world.add_source(canaries=[{"email": SOMEBODY, "domains": [DOMAIN]}])
    scene.source(canaries={Email(SOMEBODY).key: Entitled(frozenset())})


def old(scene: Scene) -> None:
    scene.world.later(hours=1)
    scene.world.says(ANNE, DOMAIN)


def contested(**contest: bool) -> Play:
    return lambda scene: scene.world.contests.update({HELD_BY: Contest(**contest)})


def suspended_source(scene: Scene) -> None:
    scene.world.add_source(suspend=True)


def frozen(scene: Scene) -> None:
    scene.world.freeze = Freeze()


def unknown_domain(scene: Scene) -> None:
    scene.missing = True


def deleted(scene: Scene) -> None:
    scene.deleted = True


denied = declared(deniedAdmins=[f"{BERT}@{DOMAIN}"])

SCENES: Mapping[Event, Play] = dict(
    (
        at(Event.NAMED, named),
        at(Event.NAMED_FOREIGN, by_hand, named),
        at(Event.NAMED_FOREIGN_NEVER, by_hand, named, declared(adoption="Never")),
        at(Event.NAMED_OURS, ours, named),
        at(Event.NAMED_MEMBER, member, named),
        at(Event.NAMED_PARTLY, said(Partial(frozenset({DOMAIN})))),
        at(Event.NAMED_BY_ONE, ours, named, second_source, second_says(Entitled(frozenset()))),
        at(Event.NAMED_AMBIGUOUS, named, twin),
        at(Event.NAMED_INACTIVE, named, inactive),
        at(Event.NAMED_PENDING, named, unknown_domain),
        at(Event.NAMED_STRANGER, named, limited(adminEmailDomains=[OTHER])),
        at(Event.NAMED_TOO_MANY, named, limited(maxAdmins=1)),
        at(Event.NAMED_REMOVED, removed_row, named),
        at(Event.NAMED_VANISHING, removed_row, named, contested(vanished=True)),
        at(Event.EMPTY, ours, empty),
        at(Event.EMPTY_FOREIGN, by_hand, empty),
        at(Event.EMPTY_FOREIGN_ALL, by_hand, empty, declared(adoption="All")),
        at(Event.EMPTY_MEMBER, member, empty),
        at(Event.OTHERS, ours, others),
        at(Event.OTHERS_PARTLY, ours, said(Partial(frozenset({OTHER})))),
        at(Event.ABSENT, ours, said(Unknown(AnswerReason.KEY_ABSENT))),
        at(Event.MALFORMED, ours, said(Malformed(AnswerReason.NOT_JSON))),
        at(Event.UNAVAILABLE, ours, said(Unavailable(AnswerReason.TIMEOUT))),
        at(Event.UNAUTHENTICATED, ours, confirmed_empty, refused),
        at(Event.STALE, ours, confirmed_empty, old),
        at(Event.ONE_SILENT, ours, empty, second_source, second_says(Unknown(AnswerReason.KEY_ABSENT))),
        at(Event.NO_WAVE, ours, empty, no_wave),
        at(Event.CANARY_WRONG, ours, empty, wrong_canary),
        at(Event.AMBIGUOUS, ours, empty, twin),
        at(Event.INACTIVE, ours, confirmed_empty, inactive),
        at(Event.RENAMED, ours, confirmed_empty, renamed),
        at(Event.RENAMED_EMPTY, ours, renamed, empty),
        at(Event.BROUGHT_BACK, by_hand, empty, contested(removed=True)),
        at(Event.PROTECTED, ours, empty, declared(protectedAdmins=[f"{BERT}@{DOMAIN}"])),
        at(Event.PINNED, pinned_row, empty),
        at(Event.LAST, ours, empty, limited(minAdmins=2)),
        at(Event.MASS, ours, crowd, all_empty),
        at(Event.DENIED, ours, named, denied),
        at(Event.DENIED_FOREIGN, by_hand, denied),
        at(Event.DENIED_ABSENT, named, denied),
        at(Event.SUSPENDED, ours, empty, declared(suspend=True)),
        at(Event.SOURCE_SUSPENDED, ours, empty, suspended_source),
        at(Event.FROZEN, ours, empty, frozen),
        at(Event.FROZEN_NAMED, named, frozen),
        at(Event.DELETED, ours, empty, deleted),
    )
)


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_each_event_comes_to_what_the_page_says(event: Event) -> None:
    outcomes = []
    for policy in POLICIES.values():
        scene = Scene()
        SCENES[event](scene)
        outcomes.append(scene.outcome(policy))
    TABLE.hold(event, outcomes)


def test_the_page_tells_of_each_event_in_order() -> None:
    assert TABLE.told() == list(Event)
