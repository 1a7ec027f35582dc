"""How is each source? Its holders, whether its answers are fresh, and why it can't be reached."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from controller.planning.difference import NOWHERE, locate
from controller.planning.facts import Answer, AnswerReason, Snapshot, Unknown, UserId
from controller.planning.sources import SourceState, Tally, listen, tally, too_many
from controller.planning.standing import Standing
from controller.resources.conditions import Reason
from controller.resources.names import ResourceKey

_REFUSALS = {
    AnswerReason.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    AnswerReason.CIRCUIT_OPEN: Reason.CIRCUIT_OPEN,
    AnswerReason.SECRET_MISSING: Reason.SECRET_MISSING,
    AnswerReason.PROVIDER_UNUSABLE: Reason.PROVIDER_UNUSABLE,
    AnswerReason.FEATURE_DISABLED: Reason.FEATURE_DISABLED,
}
_CLOSED = frozenset({AnswerReason.NOT_ACTIVATED, AnswerReason.NO_ORGANIZATION})


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source at one moment."""

    key: ResourceKey
    tally: Tally
    """The answers of its last wave, or of the sweep in file mode."""
    gathering: bool
    """First answers are still being gathered."""
    stale: bool
    """Too many holders have no list that is young enough."""
    trouble: Reason | None
    """Why it is not reachable: Unauthenticated, CircuitOpen, SecretMissing, ProviderUnusable, FeatureDisabled,
    Unreachable, PivotClosed. None = it is."""
    canary_wrong: bool = False
    """Whether it said something else about a canary than what is known: its revocations are frozen."""

    @property
    def failed(self) -> bool:
        """Whether it counts as unavailable (exit 7). A closed pivot is an answer, not a failure."""
        return self.trouble is not None and self.trouble is not Reason.PIVOT_CLOSED


def holders(standings: Sequence[Standing], snapshot: Snapshot) -> Mapping[ResourceKey, frozenset[UserId]]:
    """Who holds a managed access, by source: the users whose ADMIN rows stand on its admitted domains."""
    located = locate(snapshot.domains)
    found: dict[ResourceKey, set[UserId]] = defaultdict(set)
    for standing in standings:
        row = located.get(standing.resource.domain, NOWHERE).row
        if row is not None:
            users = [access.user for access in snapshot.accesses.get(row.id, ()) if access.admin]
            for key in standing.sources:
                found[key].update(users)
    return {key: frozenset(users) for key, users in found.items()}


def examine(
    state: SourceState, wave: Collection[Answer], held_by: Collection[UserId], snapshot: Snapshot, *, now: float
) -> SourceHealth:
    """Say how a source is. `wave` are the answers of its last wave; `held_by` the active holders it is asked about."""
    voice = listen(state, snapshot.users, now=now)
    active = [user for user in held_by if (row := snapshot.users.get(user)) and row.active and row.email]
    stale = state.settled and too_many(voice.silent_among(active), len(active))
    counts = tally(wave)
    trouble = _trouble(state, counts, wave)
    return SourceHealth(state.key, counts, not state.gathered, stale, trouble, state.canary_wrong)


def trouble_of(refusal: AnswerReason) -> Reason:
    """The reason to give for a source that can't be asked."""
    return _REFUSALS.get(refusal, Reason.UNREACHABLE)


def _trouble(state: SourceState, counts: Tally, wave: Collection[Answer]) -> Reason | None:
    if state.refusal is not None:
        return trouble_of(state.refusal)
    if too_many(counts.failed, counts.asked):
        return Reason.UNREACHABLE
    closed = sum(isinstance(answer.verdict, Unknown) and answer.verdict.reason in _CLOSED for answer in wave)
    return Reason.PIVOT_CLOSED if counts.asked and closed == counts.asked else None
