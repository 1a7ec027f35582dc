"""What do the sources say now? Answers that may be decided on, turned around from users to domains."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from controller.planning.facts import (
    Answer,
    AnswerReason,
    Entitled,
    Evidence,
    Listed,
    User,
    UserId,
    Verdict,
)
from controller.resources.names import DomainName, Email, ResourceKey
from controller.resources.source import Canary, EntitlementSourceSpec


def too_many(silent: int, total: int) -> bool:
    """Whether so many of `total` are silent that it is the source and not a single user: all, or more than 5 %."""
    return silent > 0 and (silent == total or (silent > 1 and 20 * silent > total))


@dataclass(frozen=True, slots=True)
class SourceState:
    """One source with everything that it has said."""

    key: ResourceKey
    spec: EntitlementSourceSpec
    answers: Mapping[UserId, Answer]
    gathered: bool = True
    """Whether everybody has been asked once since the start."""
    complete: bool = True
    """Whether a wave has been completed since the start of which at most half failed; without it nothing is revoked."""
    judging: bool = True
    """Whether a complete wave has just ended: only then cases are judged and executed."""
    settled: bool = True
    """Whether the start is at least `staleAfter` ago: only then missing answers count as stale."""
    refusal: AnswerReason | None = None
    """Why the source can't be asked at all (`SecretMissing`, `Unauthenticated`, `CircuitOpen`); None = it can."""
    canaries: Mapping[str, Verdict] = field(default_factory=dict)
    """What it said about its canaries, by the key of their e-mail; who is missing has not been asked about."""

    @property
    def canaries_right(self) -> bool:
        """Whether every canary got the answer that is known: only then cases are executed."""
        return all(self.canaries.get(item.email.key) == _known_answer(item) for item in self.spec.canaries)

    @property
    def canary_wrong(self) -> bool:
        """Whether a canary got another answer. One that has not been asked about yet says nothing to people."""
        heard = ((self.canaries.get(item.email.key), _known_answer(item)) for item in self.spec.canaries)
        return any(verdict is not None and verdict != known for verdict, known in heard)


def _known_answer(canary: Canary) -> Entitled:
    return Entitled(frozenset(map(DomainName, canary.domains)))


@dataclass(frozen=True, slots=True)
class Voice:
    """What one source says at one moment: a view on `SourceState` that knows which answers count."""

    state: SourceState
    users: Mapping[UserId, User]
    now: float
    """Monotonic seconds."""
    stale_after: float
    """Seconds after which an answer decides nothing any more."""
    confirm_after: float
    """Seconds between two asks that must agree; 0 = one is enough."""
    names: Mapping[DomainName, tuple[UserId, ...]]
    """For each domain name, the users whom a fresh answer names."""
    promised: Mapping[DomainName, tuple[Email, ...]]
    """For each domain name, the e-mails that a static source declares, whether or not anybody has them."""

    @property
    def key(self) -> ResourceKey:
        """The source."""
        return self.state.key

    def fresh(self, user: UserId) -> Answer | None:
        """The answer about this user that may be decided on: young, and about the e-mail that they have now."""
        answer = self.state.answers.get(user)
        return answer if answer is not None and self.counts(answer) else None

    def denies(self, user: UserId, domain: DomainName) -> Answer | None:
        """The fresh `Entitled` answer that does not name the domain: the only thing that can revoke (invariant 1)."""
        answer = self.fresh(user)
        if answer is None or not isinstance(answer.verdict, Entitled) or domain in answer.verdict.domains:
            return None
        return answer

    def agrees_twice(self, answer: Answer) -> bool:
        """Whether the same was said at two asks that lie far enough apart."""
        return answer.at - answer.since >= self.confirm_after

    def silent_among(self, users: Iterable[UserId]) -> int:
        """How many of these users have no fresh answer that holds a list."""
        return sum((answer := self.fresh(user)) is None or not isinstance(answer.verdict, Listed) for user in users)

    def counts(self, answer: Answer) -> bool:
        """Whether an answer may be decided on."""
        if self.now - answer.at > self.stale_after or self.state.spec.suspend:
            return False
        user = self.users.get(answer.user)
        return user is not None and user.active and user.email == answer.email


def listen(
    state: SourceState, users: Mapping[UserId, User], *, now: float, confirm_after: timedelta | None = None
) -> Voice:
    """Turn the answers of a source around: from user -> domains to domain -> users. Stale ones are left out.

    `confirm_after` overrides the source's own `confirmRevocations.after`.
    """
    after = state.spec.confirm_revocations.after if confirm_after is None else confirm_after
    stale_after = state.spec.stale_after.total_seconds()
    names: dict[DomainName, list[UserId]] = defaultdict(list)
    voice = Voice(state, users, now, stale_after, after.total_seconds(), {}, _promises(state.spec))
    for answer in state.answers.values():
        verdict = answer.verdict
        if isinstance(verdict, Listed) and verdict.domains and voice.counts(answer):
            for domain in verdict.domains:
                names[domain].append(answer.user)
    return replace(voice, names={domain: tuple(found) for domain, found in names.items()})


def _promises(spec: EntitlementSourceSpec) -> Mapping[DomainName, tuple[Email, ...]]:
    promised: dict[DomainName, list[Email]] = defaultdict(list)
    if spec.provider.static is not None and not spec.suspend:
        for grant in spec.provider.static.grants:
            for domain in grant.domains:
                promised[DomainName(domain)].append(grant.email)
    return {domain: tuple(emails) for domain, emails in promised.items()}


def evidence(voice: Voice, answer: Answer) -> Evidence:
    """What an answer proves, without personal data."""
    names = len(answer.verdict.domains) if isinstance(answer.verdict, Listed) else 0
    return Evidence(voice.key, type(answer.verdict).__name__, names, answer.siret)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many answers of each type a source gave."""

    asked: int = 0
    entitled: int = 0
    partial: int = 0
    unknown: int = 0
    malformed: int = 0
    unavailable: int = 0

    @property
    def failed(self) -> int:
        """Users without an answer."""
        return self.malformed + self.unavailable

    @property
    def mostly_failed(self) -> bool:
        """Whether more than half failed: such a wave executes no case."""
        return 2 * self.failed > self.asked


def tally(answers: Iterable[Answer]) -> Tally:
    """Count the answers by their type."""
    counts = dict.fromkeys(("entitled", "partial", "unknown", "malformed", "unavailable"), 0)
    for answer in answers:
        counts[type(answer.verdict).__name__.lower()] += 1
    return Tally(sum(counts.values()), **counts)
