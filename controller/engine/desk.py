"""Whom does one source ask next? Waves, suspects, urgent users and the slow round, in that order; no I/O.

A wave asks every holder of a managed access again. When all have answered, suspects are asked once more, and then the
wave is ripe: all its cases are judged together. Times are seconds of one monotonic clock, given by the caller.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from controller.engine.answers import AnswerBook, answered
from controller.engine.subjects import canary_id, is_canary
from controller.entitlements.source import Reply
from controller.planning.facts import Answer, AnswerReason, Listed, Subject, User, UserId, Verdict
from controller.planning.identity import askable
from controller.planning.sources import Tally, tally
from controller.resources.names import DomainName, ResourceKey
from controller.resources.source import EntitlementSourceSpec


class Phase(Enum):
    """Where the present wave is."""

    IDLE = auto()
    ASKING = auto()
    """Holders are being asked."""
    ASKED = auto()
    """All have answered; the next pass says who is suspect."""
    CONFIRMING = auto()
    """Suspects are asked once more."""
    JUDGING = auto()
    """The next pass judges and executes."""


@dataclass(frozen=True, slots=True)
class WaveRecord:
    """One wave: when it began and ended (monotonic), and what it brought."""

    number: int
    started: float
    finished: float
    answers: tuple[Answer, ...]

    @property
    def tally(self) -> Tally:
        """Its answers by type."""
        return tally(self.answers)


CIRCUIT_PAUSE = 30.0
"""Seconds until a source whose circuit is open is tried again."""


def jittered(seconds: float, key: ResourceKey) -> float:
    """Stretch or shrink an interval by up to 10 %, the same for an object at all times."""
    digest = hashlib.sha256(str(key).encode()).digest()
    return seconds * (0.9 + 0.2 * digest[0] / 255)


@dataclass(slots=True)
class Desk:
    """The asking order of one source."""

    key: ResourceKey
    spec: EntitlementSourceSpec
    started: float
    book: AnswerBook = field(init=False)
    phase: Phase = Phase.IDLE
    refusal: AnswerReason | None = None
    """Why the source can't be asked now; the next wave tries again."""
    last: WaveRecord | None = None
    """The last wave in which everybody was asked."""
    number: int = 0
    """How many waves have begun."""
    finished: int = 0
    """The number of the last wave whose outcome was carried out, held or failed."""
    gathered: bool = False
    """Whether everybody has been asked once."""
    canaries: dict[str, Verdict] = field(default_factory=dict)
    """What was said about each canary, by the key of its e-mail."""
    _users: Mapping[UserId, User] = field(default_factory=dict)
    _known: tuple[frozenset[UserId], frozenset[UserId]] | None = None
    """Who held something, and whom an answer named for a managed domain, when that was last looked at."""
    _holders: frozenset[UserId] = frozenset()
    _next_wave: float = 0.0
    _began: float = 0.0
    _whole: bool = False
    """Whether the next wave asks everybody (a poked source)."""
    _to_ask: OrderedDict[UserId, None] = field(default_factory=OrderedDict)
    """Users of the wave, or suspects, not yet handed out. (Taking the first of a plain dict looks at all who went.)"""
    _awaited: set[UserId] = field(default_factory=set)
    """Those of them who have not answered."""
    _members: frozenset[UserId] = frozenset()
    _ask_at: float = 0.0
    _urgent: OrderedDict[UserId, None] = field(default_factory=OrderedDict)
    _retry: dict[UserId, float] = field(default_factory=dict)
    """When a user whose ask failed may be asked again. Not for holders: the next wave asks them anyway, once."""
    _out: set[UserId] = field(default_factory=set)
    """Users who are being asked at this moment."""
    _doubted: set[UserId] = field(default_factory=set)
    """Users who have to be asked before anything is decided."""

    def __post_init__(self) -> None:
        self.book = AnswerBook(self.key)

    @property
    def interval(self) -> float:
        """Seconds between the starts of two waves."""
        return jittered(self.spec.interval.total_seconds(), self.key)

    @property
    def complete(self) -> bool:
        """Whether the last wave allows to decide: there was one, and at most half of it failed."""
        sound = self.last is not None and not self.last.tally.mostly_failed
        return sound and self.refusal is None

    def asked_since(self, number: int) -> bool:
        """Whether everybody has been asked again in the wave of this number or a later one."""
        return self.finished >= number or (self.judging and self.number >= number)

    @property
    def judging(self) -> bool:
        """Whether the cases of this source are to be judged now."""
        return self.phase is Phase.JUDGING

    @property
    def doubting(self) -> bool:
        """Whether the next decision has to wait for answers that are about to come."""
        return bool(self._doubted) and self.refusal is None and not self.spec.suspend

    # --- what the world looks like ---

    def update(
        self, users: Mapping[UserId, User], holders: Collection[UserId], named: Collection[DomainName], now: float
    ) -> None:
        """Take over users and holders. Users without an answer for their present e-mail become urgent, holders first.

        `named` are the domains that are managed through this source. Users whom an answer names for one of them are
        asked with every wave, so that what is reported about them never goes stale by itself. Whom an answer names
        that is too old to decide on is urgent: a domain that was declared just now does not wait for a wave.
        """
        wanted = frozenset(named)
        by_answer = frozenset(user for user, answer in self.book.answers.items() if _names(answer, wanted))
        if users is self._users and (holders, by_answer) == self._known:
            return
        self._known = frozenset(holders), by_answer
        present = {user for user, row in users.items() if askable(row)}
        # Answers about nobody are no answers: with its first users a source begins to gather.
        self.gathered = self.gathered and (bool(self._users) or not users)
        self._users = users
        self._holders = frozenset((by_answer | set(holders)) & present)
        self.book.forget_all_but(present)
        self._doubted &= present
        for user in self._urgent.keys() - present:
            del self._urgent[user]
        for user in self._retry.keys() & self._holders:
            del self._retry[user]
        stale_at = now - self.spec.stale_after.total_seconds()
        urgent = {user for user in by_answer & present if self.book.answers[user].at < stale_at}
        urgent |= {user for user in present if not self._knows(user) and user not in self._retry}
        self._urgent |= dict.fromkeys(sorted(urgent, key=lambda user: (user not in self._holders, user)))

    def doubt(self, users: Iterable[UserId]) -> None:
        """Somebody else has decided about these on later answers than ours, which decide nothing any more.

        With the next `update` they are urgent.
        """
        self._doubted.update(user for user in users if self.book.forget(user))
        self._known = None

    def revise(self, spec: EntitlementSourceSpec) -> None:
        """Take over what is declared now. Other canaries want to be asked about before anything is revoked."""
        if spec.canaries != self.spec.canaries:
            self.request(everybody=False)
        self.spec = spec

    def forgive(self) -> None:
        """The credential or the provider changed: ask again at once."""
        self.refusal = None
        self._next_wave = 0.0

    def hurry(self, users: Collection[UserId]) -> None:
        """Ask about these soon, at the rate that is permitted anyway; who waits already waits no second time."""
        self._urgent |= dict.fromkeys(user for user in sorted(users) if user in self._users)

    def ask_anew(self, present: Callable[[UserId], Subject | None], *, only: UserId | None = None) -> None:
        """Ask soon about those of whom nothing was said, where another question would be put now.

        A siret that was declared since then, or a claim, does not wait for a whole round.
        """
        unopened = self.book.unopened
        among = unopened if only is None else unopened.keys() & {only}
        self.hurry([user for user in among if present(user) not in (None, unopened[user])])

    def request(self, *, everybody: bool) -> int:
        """Ask for a wave as soon as possible; return the number of the first one that begins after this moment."""
        self._whole = self._whole or everybody
        self._next_wave = 0.0
        return self.number + 1

    # --- the wave ---

    def tick(self, now: float) -> None:
        """Begin a wave when it is due; end one that a suspended source can't go on with."""
        if self.spec.suspend:
            self._give_up()
        elif self.phase is Phase.IDLE and now >= self._next_wave:
            everybody = frozenset(user for user, row in self._users.items() if askable(row))
            self.number += 1
            if self.refusal is not AnswerReason.SECRET_MISSING:
                # Only a Secret that is there again ends that.
                self.refusal = None
            self._members = everybody if self._whole else self._holders
            self._whole = False
            self._began = now
            self._next_wave = now + self.interval
            self._await((*self._canaries, *sorted(self._members)) if self.refusal is None else (), at=now)
            self.phase = Phase.ASKING
        self._advance(now)

    def confirm(self, suspects: Collection[UserId], now: float) -> None:
        """Ask these once more, `confirmRevocations.after` from now; with nobody to ask, judge."""
        asking = () if self.refusal is not None else suspects
        self._await(sorted(asking), at=now + self.spec.confirm_revocations.after.total_seconds())
        self.phase = Phase.CONFIRMING
        self._advance(now)

    def finish(self) -> None:
        """The wave is over: its outcome is carried out, held or failed."""
        self.finished = self.number
        self.phase = Phase.IDLE
        if not self._urgent:
            # What has held everybody keeps the room for them.
            self._urgent = OrderedDict()

    def refuse(self, reason: AnswerReason, now: float) -> None:
        """The service refused us altogether: the sweep stops, and the wave with it.

        A service that failed is tried again soon; one that does not know our key at the next interval, or when the
        key changes.
        """
        self.refusal = reason
        if reason is AnswerReason.CIRCUIT_OPEN:
            self._next_wave = min(self._next_wave, now + CIRCUIT_PAUSE)
        self._give_up()
        self._advance(now)

    def _give_up(self) -> None:
        self._to_ask.clear()
        self._awaited.clear()

    # --- who is next ---

    def next(self, now: float) -> UserId | None:
        """Whom to ask now, or None when nobody is due."""
        if self.spec.suspend or self.refusal is not None:
            return None
        for user in self._due(now):
            if not self._can_be_asked(user):
                self._awaited.discard(user)
            elif user not in self._out:
                self._out.add(user)
                return user
        self._advance(now)
        return None

    def busy(self, now: float) -> bool:
        """Whether somebody is being asked, or is due."""
        due = bool(self._urgent) or (bool(self._to_ask) and now >= self._ask_at)
        return bool(self._out) or (due and self.refusal is None and not self.spec.suspend)

    def wait(self, now: float) -> float:
        """Seconds after which somebody may be due, if nothing happens before."""
        moments = [self._ask_at] if self._to_ask else []
        moments += list(self._retry.values())[:1]
        oldest = self.book.oldest
        if oldest is not None:
            moments.append(oldest.at + self.spec.discovery_interval.total_seconds())
        return max(0.05, min(moments, default=now + 60.0) - now)

    def receive(self, subject: Subject, reply: Reply, now: float) -> bool:
        """Note a reply; return whether it says something else than the last one about this user."""
        user = subject.user
        self._out.discard(user)
        if is_canary(user):
            return self._hear_canary(subject, reply, now)
        before = self.book.answers.get(user)
        answer = self.book.write(subject, reply, now)
        self._doubted.discard(user)
        self._urgent.pop(user, None)
        self._retry.pop(user, None)
        if not answered(answer) and user not in self._holders:
            self._retry[user] = now + self.interval
        self._awaited.discard(user)
        self._to_ask.pop(user, None)
        self._advance(now)
        return _matters(before, answer, user in self._holders)

    def _hear_canary(self, subject: Subject, reply: Reply, now: float) -> bool:
        before = self.canaries.get(subject.email.key)
        self.canaries[subject.email.key] = reply.verdict
        self._awaited.discard(subject.user)
        self._advance(now)
        return before != reply.verdict

    def recall(self, *users: UserId) -> None:
        """Asks came to nothing (all that are under way, unless named): their users are asked again when it is due."""
        back = users or tuple(self._out)
        self._out.difference_update(back)
        waiting = [user for user in back if user in self._awaited]
        self._to_ask = OrderedDict.fromkeys((*waiting, *self._to_ask))
        self._urgent |= dict.fromkeys(user for user in back if user not in self._awaited)

    def _due(self, now: float) -> Iterable[UserId]:
        if now >= self._ask_at:
            while self._to_ask:
                yield self._to_ask.popitem(last=False)[0]
        while self._urgent:
            yield self._urgent.popitem(last=False)[0]
        yield from [user for user, at in list(self._retry.items())[:1] if at <= now]
        oldest = self.book.oldest
        if oldest is not None and now - oldest.at >= self.spec.discovery_interval.total_seconds():
            yield oldest.user

    @property
    def _canaries(self) -> Sequence[UserId]:
        return [canary_id(place) for place in range(len(self.spec.canaries))]

    def _can_be_asked(self, user: UserId) -> bool:
        if is_canary(user):
            return user in self._canaries
        row = self._users.get(user)
        return row is not None and askable(row)

    def _await(self, users: Sequence[UserId], *, at: float) -> None:
        self._to_ask = OrderedDict.fromkeys(users)
        self._awaited = set(users)
        self._ask_at = at

    def _advance(self, now: float) -> None:
        if not self.gathered and self.number and not self._urgent and not self._out:
            self.gathered = all(user in self.book.answers for user, row in self._users.items() if askable(row))
        if self._awaited:
            return
        if self.phase is Phase.ASKING:
            self.phase = Phase.ASKED
        elif self.phase is Phase.CONFIRMING:
            self.phase = Phase.JUDGING
            if self.refusal is None and not self.spec.suspend:
                said = (self.book.answers.get(user) for user in self._members)
                answers = tuple(answer for answer in said if answer is not None)
                self.last = WaveRecord(self.number, self._began, now, answers)

    def _knows(self, user: UserId) -> bool:
        answer = self.book.answers.get(user)
        return user in self._out or (answer is not None and answer.email == self._users[user].email)


def _names(answer: Answer, domains: frozenset[DomainName]) -> bool:
    return isinstance(answer.verdict, Listed) and not answer.verdict.domains.isdisjoint(domains)


def _matters(before: Answer | None, answer: Answer, holder: bool) -> bool:  # noqa: FBT001  # a fact about the user
    if before is not None and before.verdict == answer.verdict:
        return False
    named = isinstance(answer.verdict, Listed) and bool(answer.verdict.domains)
    had = before is not None and isinstance(before.verdict, Listed) and bool(before.verdict.domains)
    return holder or named or had
