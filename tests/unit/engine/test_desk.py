"""Whom a source asks next, and when a wave is ripe; with a clock of its own."""

from typing import Any

import pytest

from controller.engine.desk import CIRCUIT_PAUSE, Desk, Phase, jittered
from controller.engine.subjects import canary_id
from controller.entitlements.source import Reply
from controller.planning.facts import (
    AnswerReason,
    Entitled,
    Subject,
    Unavailable,
    User,
    UserId,
    Verdict,
)
from controller.resources.names import DomainName, Email, ResourceKey
from tests.support.planning import source

X = DomainName("x.fr")
NOTHING = Entitled(frozenset())
DOWN = Unavailable(AnswerReason.CONNECTION)


def people(*names: str, active: bool = True) -> dict[UserId, User]:
    """Users with an e-mail each."""
    return {UserId(name): User(UserId(name), Email(f"{name}@x.fr"), active) for name in names}


class Office:
    """A desk with its clock, and somebody who asks."""

    def __init__(self, *names: str, holders: tuple[str, ...] = (), **spec: Any) -> None:
        item = source(**spec)
        self.now = 1000.0
        self.desk = Desk(item.key, item.spec, self.now)
        self.users = people(*names)
        self.holders = frozenset(UserId(name) for name in holders)
        self.managed = [X]
        self.look()

    def look(self) -> None:
        """Tell the desk what there is."""
        self.desk.update(dict(self.users), self.holders, self.managed, self.now)

    def at(self, phase: Phase) -> bool:
        """Whether the wave is there."""
        return self.desk.phase is phase

    def next(self) -> str | None:
        """Whom to ask now."""
        return self.desk.next(self.now)

    def reply(self, name: str, verdict: Verdict = NOTHING) -> bool:
        """Answer about one user."""
        email = self.users[UserId(name)].email
        assert email is not None
        return self.desk.receive(Subject(UserId(name), email), Reply(verdict), self.now)

    def ask_all(self, verdict: Verdict = NOTHING) -> list[str]:
        """Ask whoever is due until nobody is."""
        asked = []
        while (name := self.next()) is not None:
            asked.append(name)
            self.reply(name, verdict)
        return asked

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass."""
        self.now += seconds
        self.desk.tick(self.now)

    def finish(self) -> None:
        """Confirm nothing, judge, end the wave."""
        assert self.at(Phase.ASKED)
        self.desk.confirm((), self.now)
        assert self.at(Phase.JUDGING)
        self.desk.finish()


def test_holders_are_asked_first_after_a_start() -> None:
    office = Office("a", "b", "c", "d", holders=("c", "d"))
    office.tick()
    assert office.ask_all() == ["c", "d", "a", "b"]


def test_everybody_is_asked_once_and_nobody_twice() -> None:
    office = Office("a", "b", "c", holders=("b",))
    office.tick()
    assert sorted(office.ask_all()) == ["a", "b", "c"]
    office.tick(10)
    assert office.ask_all() == []


def test_a_wave_asks_every_holder_again_and_nobody_else() -> None:
    office = Office("a", "b", "c", holders=("b",))
    office.tick()
    office.ask_all()
    office.finish()
    office.tick(office.desk.interval)
    assert office.ask_all() == ["b"]


CANARIES = [{"email": "canari@x.fr", "domains": ["x.fr"]}, {"email": "personne@x.fr", "domains": []}]


def hear(office: Office, place: int, verdict: Verdict = NOTHING) -> bool:
    """Answer about one canary."""
    subject = Subject(canary_id(place), Email(str(CANARIES[place]["email"])))
    return office.desk.receive(subject, Reply(verdict), office.now)


def test_canaries_are_asked_about_first_in_each_wave_and_in_no_confirmation() -> None:
    office = Office("a", "b", holders=("a",), canaries=CANARIES)
    for _ in range(2):
        office.tick(office.desk.interval)
        assert [office.next(), office.next()] == ["canary/0", "canary/1"]
        hear(office, 0)
        hear(office, 1)
        assert office.ask_all()[0] == "a"
        assert office.at(Phase.ASKED)
        office.desk.confirm([UserId("a")], office.now)
        office.tick(31)
        assert office.ask_all() == ["a"]
        office.desk.finish()


def test_a_wave_waits_for_its_canaries() -> None:
    office = Office("a", holders=("a",), canaries=CANARIES)
    office.tick()
    assert office.next() == "canary/0"
    hear(office, 0)
    assert office.next() == "canary/1"
    office.ask_all()
    assert office.at(Phase.ASKING)
    hear(office, 1, DOWN)
    assert office.at(Phase.ASKED)
    assert office.desk.canaries == {"canari@x.fr": NOTHING, "personne@x.fr": DOWN}


def test_a_canary_is_no_user_and_only_its_change_is_news() -> None:
    office = Office("a", holders=("a",), canaries=CANARIES)
    office.tick()
    assert hear(office, 0)
    assert not hear(office, 0)
    assert hear(office, 0, DOWN)
    assert not office.desk.book.answers


def test_other_canaries_ask_for_a_wave_at_once() -> None:
    office = Office("a", holders=("a",), canaries=CANARIES)
    office.tick()
    office.next()
    office.desk.revise(source(canaries=CANARIES[:1]).spec)
    hear(office, 0)
    assert office.ask_all() == ["a"], "who is no canary any more is not asked about"
    office.finish()
    office.tick(1)
    assert office.next() == "canary/0"


def test_a_wave_is_not_ripe_while_one_holder_has_not_answered() -> None:
    office = Office("a", "b", holders=("a", "b"))
    office.tick()
    first, second = office.next(), office.next()
    assert {first, second} == {"a", "b"}
    office.reply("a")
    assert office.at(Phase.ASKING)
    office.reply("b")
    assert office.at(Phase.ASKED)


def test_suspects_are_asked_once_more_after_the_confirmation_time() -> None:
    office = Office("a", "b", holders=("a", "b"))
    office.tick()
    office.ask_all()
    office.desk.confirm([UserId("a")], office.now)
    assert office.next() is None
    office.tick(30)
    assert office.ask_all() == ["a"]
    assert office.desk.judging


def test_users_whom_an_answer_names_are_asked_with_every_wave() -> None:
    office = Office("a", "b", holders=("a",))
    office.tick()
    assert office.next() == "a"
    office.reply("a")
    assert office.next() == "b"
    office.reply("b", Entitled(frozenset({X})))
    office.finish()
    office.look()
    office.tick(office.desk.interval)
    assert office.ask_all() == ["a", "b"]


@pytest.mark.parametrize(("age", "urgent"), [(1799.0, []), (1801.0, ["anna"])])
def test_whom_an_old_answer_names_for_a_new_domain_is_urgent(age: float, urgent: list[str]) -> None:
    office = Office("anna", "bert")
    office.managed = []
    office.look()
    office.reply("anna", Entitled(frozenset({X})))
    office.reply("bert")
    office.ask_all()
    office.now += age
    office.managed = [X]
    office.look()
    assert office.ask_all() == urgent


def test_a_new_user_is_urgent() -> None:
    office = Office("a", holders=("a",))
    office.tick()
    office.ask_all()
    office.finish()
    office.users |= people("new")
    office.look()
    assert office.ask_all() == ["new"]


def test_a_changed_email_is_urgent() -> None:
    office = Office("a", "b", holders=("a",))
    office.tick()
    office.ask_all()
    office.users[UserId("b")] = User(UserId("b"), Email("b.new@x.fr"), active=True)
    office.look()
    assert office.ask_all() == ["b"]


def test_everybody_else_is_asked_again_within_the_discovery_interval() -> None:
    office = Office("a", "b", holders=("a",))
    office.tick()
    office.ask_all()
    office.finish()
    office.now += 6 * 3600
    assert "b" in office.ask_all()


def test_inactive_users_are_not_asked() -> None:
    office = Office("a")
    office.users |= people("gone", active=False)
    office.look()
    office.tick()
    assert office.ask_all() == ["a"]


def test_a_user_who_becomes_inactive_does_not_block_the_wave() -> None:
    office = Office("a", "b", holders=("a", "b"))
    office.tick()
    office.users |= people("b", active=False)
    office.look()
    office.ask_all()
    assert office.at(Phase.ASKED)


def test_a_failed_ask_waits_for_an_interval() -> None:
    office = Office("a", "b", holders=("a",))
    office.tick()
    office.ask_all(DOWN)
    assert office.next() is None
    office.finish()
    office.now += office.desk.interval
    assert "b" in office.ask_all()


def test_a_wave_of_which_more_than_half_failed_is_not_complete() -> None:
    office = Office("a", "b", "c", holders=("a", "b", "c"))
    office.tick()
    verdicts: list[Verdict] = [NOTHING, DOWN, DOWN]
    for name, verdict in zip(("a", "b", "c"), verdicts, strict=True):
        assert office.next() == name
        office.reply(name, verdict)
    office.finish()
    assert not office.desk.complete


def test_half_failed_is_complete() -> None:
    office = Office("a", "b", holders=("a", "b"))
    office.tick()
    verdicts: list[Verdict] = [NOTHING, DOWN]
    for name, verdict in zip(("a", "b"), verdicts, strict=True):
        assert office.next() == name
        office.reply(name, verdict)
    office.finish()
    assert office.desk.complete


def test_nothing_is_complete_before_the_first_wave() -> None:
    assert not Office("a").desk.complete


def test_a_refused_key_stops_the_wave_until_the_next_interval() -> None:
    office = Office("a", "b", holders=("a", "b"))
    office.tick()
    assert office.next() == "a"
    office.desk.refuse(AnswerReason.UNAUTHENTICATED, office.now)
    assert office.next() is None
    assert office.at(Phase.ASKED)
    office.desk.confirm([UserId("a")], office.now)
    assert office.at(Phase.JUDGING), "nobody can be asked again"
    assert not office.desk.complete
    office.desk.finish()
    office.tick(CIRCUIT_PAUSE)
    assert office.next() is None
    office.tick(office.desk.interval)
    assert office.next() is not None


def test_a_missing_secret_is_told_until_it_is_there_and_a_poke_meanwhile_ends_at_once() -> None:
    office = Office("a", holders=("a",))
    office.desk.refuse(AnswerReason.SECRET_MISSING, office.now)
    wave = office.desk.request(everybody=True)
    office.tick()
    assert office.next() is None
    office.finish()
    assert office.desk.finished == wave
    assert office.desk.refusal is AnswerReason.SECRET_MISSING
    office.desk.forgive()
    office.tick()
    assert office.ask_all() == ["a"]


def test_an_answer_that_is_doubted_decides_nothing_and_is_asked_for_first() -> None:
    office = Office("a", "b", "c", holders=("b",))
    office.tick()
    office.ask_all()
    office.desk.doubt([UserId("c"), UserId("nobody")])
    office.look()
    assert UserId("c") not in office.desk.book.answers
    assert office.desk.doubting
    assert office.ask_all() == ["c"]
    assert not office.desk.doubting


def test_nobody_waits_for_a_doubted_answer_that_can_not_come() -> None:
    office = Office("a", "b")
    office.tick()
    office.ask_all()
    office.desk.doubt([UserId("a"), UserId("b")])
    del office.users[UserId("b")]
    office.look()
    assert office.desk.doubting
    office.desk.refuse(AnswerReason.UNAUTHENTICATED, office.now)
    assert not office.desk.doubting


def test_an_open_circuit_is_tried_again_soon() -> None:
    office = Office("a", holders=("a",))
    office.tick()
    office.desk.refuse(AnswerReason.CIRCUIT_OPEN, office.now)
    office.finish()
    office.tick(CIRCUIT_PAUSE)
    assert office.next() == "a"


def test_a_new_credential_asks_at_once() -> None:
    office = Office("a", holders=("a",))
    office.tick()
    office.desk.refuse(AnswerReason.UNAUTHENTICATED, office.now)
    office.finish()
    office.desk.forgive()
    office.tick()
    assert office.next() == "a"


def test_a_poked_source_asks_everybody() -> None:
    office = Office("a", "b", holders=("a",))
    office.tick()
    office.ask_all()
    office.finish()
    wave = office.desk.request(everybody=True)
    office.tick()
    assert sorted(office.ask_all()) == ["a", "b"]
    assert office.desk.finished < wave
    office.finish()
    assert office.desk.finished == wave


def test_a_poke_during_a_wave_waits_for_the_next_one() -> None:
    office = Office("a", holders=("a",))
    office.tick()
    wave = office.desk.request(everybody=False)
    office.ask_all()
    office.finish()
    assert office.desk.finished < wave
    office.tick()
    assert office.ask_all() == ["a"]
    office.finish()
    assert office.desk.finished == wave


def test_a_suspended_source_asks_nobody() -> None:
    office = Office("a", holders=("a",), suspend=True)
    office.tick()
    assert office.next() is None


def test_asks_that_came_to_nothing_are_made_again() -> None:
    office = Office("a", "b", holders=("a",))
    office.tick()
    assert (office.next(), office.next()) == ("a", "b")
    office.desk.recall()
    assert office.ask_all() == ["a", "b"]
    assert office.at(Phase.ASKED)


def test_everybody_is_gathered_once_all_were_asked() -> None:
    office = Office("a", "b", holders=("a",))
    office.tick()
    assert office.next() == "a"
    office.reply("a")
    assert not office.desk.gathered
    office.ask_all()
    assert office.desk.gathered


def test_a_source_without_users_is_gathered_by_its_first_wave() -> None:
    office = Office()
    office.tick()
    assert office.desk.gathered
    assert office.at(Phase.ASKED)


def test_a_source_that_gets_its_first_users_has_gathered_nothing() -> None:
    office = Office()
    office.tick()
    office.finish()
    office.users = people("a")
    office.look()
    assert not office.desk.gathered
    office.ask_all()
    assert office.desk.gathered


@pytest.mark.parametrize("name", ["a", "b", "c", "deploycenter"])
def test_intervals_have_a_stable_jitter_of_ten_percent(name: str) -> None:
    key = ResourceKey("default", name)
    assert 540 <= jittered(600, key) <= 660
    assert jittered(600, key) == jittered(600, key)


def test_only_news_wake_the_loop() -> None:
    office = Office("a", "b", holders=("a",))
    office.tick()
    assert office.next() == "a"
    assert office.reply("a"), "the first word about a holder"
    assert office.next() == "b"
    assert not office.reply("b"), "somebody who holds nothing and is entitled to nothing"
    assert not office.reply("a"), "the same again"
    assert office.reply("b", Entitled(frozenset({X})))
