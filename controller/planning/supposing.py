"""What would become of it if a source said something else? Questions that nobody has answered so, for `--what-if`."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from controller.planning.facts import Answer, Entitled, Verdict
from controller.planning.plan import Question, draft
from controller.planning.sources import SourceState
from controller.planning.wards import convene
from controller.resources.names import ResourceKey

NOTHING = Entitled(frozenset())
"""What a source says that has lost its data: `[]` for everybody."""


def supposing(question: Question, said: Verdict, sources: Collection[ResourceKey]) -> Question:
    """The same question, if these sources had said the same about everybody, canaries included, and confirmed it."""
    states = {
        key: _saying(state, said, question) if key in sources else state for key, state in question.sources.items()
    }
    return replace(question, sources=states)


def _saying(state: SourceState, said: Verdict, question: Question) -> SourceState:
    now, before = question.now, question.now - state.spec.confirm_revocations.after.total_seconds()
    # Nobody is named, so that what it says matters only of those who hold something.
    holders = {access.user for rows in question.snapshot.accesses.values() for access in rows}
    users = (question.snapshot.users[user] for user in holders & question.snapshot.users.keys())
    answers = {
        user.id: Answer(user.id, user.email, state.key, said, now, before) for user in users if user.email is not None
    }
    sound = isinstance(said, Entitled)
    return replace(
        state,
        answers=answers,
        gathered=True,
        complete=sound,
        judging=True,
        refusal=None,
        canaries=dict.fromkeys((item.email.key for item in state.spec.canaries), said),
    )


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What one source could take away by saying `[]` for everybody, now."""

    accesses: int = 0
    """Accesses that would lose their ground."""
    domains: int = 0
    """Domains that would be left without an administrator if all of them went."""
    stopped_after: int = 0
    """How many could go before the limits stop the rest, even if they came one by one; the window counts what went."""


def blast_radius(question: Question, key: ResourceKey) -> BlastRadius:
    """Weigh what one source could take away, against the limits as they are used up now."""
    concerned = tuple(standing for standing in question.standings if key in standing.sources)
    supposed = supposing(replace(question, standings=concerned), NOTHING, {key})
    voices, drafts = draft(supposed)
    session = convene([item for item in drafts if item.revokes], voices, supposed.snapshot, {}, {})
    ward = next((item for item in session.sources if item.scope.key == key), None)
    if ward is None:
        return BlastRadius()
    let_go = 0
    for domain in session.domains:
        floor = session.floors[domain.scope.key]
        let_go += max(0, min(len(domain.cases), domain.left, floor.after_grants - floor.min_admins))
    bare = sum(len(domain.cases) >= session.floors[domain.scope.key].after_grants for domain in session.domains)
    stopped = min(ward.left, let_go) if voices[key].state.canaries_right else 0
    return BlastRadius(len(ward.cases), bare, stopped)
