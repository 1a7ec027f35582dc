"""What should change? The one decision that operator, `plan`, `apply`, sandbox and tests share.

    Answers x Rows x Ledger x Policy -> Differences -> Cases -> Guard -> Plan

A pure function without I/O: it is given everything, the clock included, and gives back values.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from controller import __version__
from controller.planning.cases import OpenCase, changed
from controller.planning.ceilings import Admissions, ceilings
from controller.planning.changes import Adoption, Changes, Denied, Grant, NotEntitled, Revocation, Withdrawn
from controller.planning.difference import Difference, Suspect, locate
from controller.planning.draft import Draft, Drafter, cases_by_domain
from controller.planning.facts import AccessId, Agreed, Case, CaseState, Hold, Holding, Known, Scope, Snapshot, UserId
from controller.planning.guard import CHANGE, Approvals, Bench, Judgement, judge, judge_withdrawal, kind_of
from controller.planning.identity import identify
from controller.planning.sources import SourceState, Voice, listen
from controller.planning.standing import Standing, new_claims
from controller.planning.terms import changed as terms_changed
from controller.planning.terms import terms_of_domain, terms_of_source
from controller.planning.wards import Session, convene
from controller.resources.conditions import Reason
from controller.resources.maildomain import Mode
from controller.resources.names import ResourceKey

Arrival = TypeVar("Arrival", Grant, Adoption)
"""Who becomes an administrator of ours."""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that a plan depends on."""

    standings: Sequence[Standing]
    sources: Mapping[ResourceKey, SourceState]
    snapshot: Snapshot
    now: float
    """Monotonic seconds, on the clock of the answers."""
    approvals: Approvals = field(default_factory=Approvals)
    as_if: Mode | None = None
    """Plan as if every domain had this mode."""
    confirm_after: timedelta | None = None
    """Overrides `confirmRevocations.after` of every source."""
    version: str = __version__
    """Of this program."""
    hypothetical: bool = False
    """Whether it is only asked what would be: nobody has to look at a change that is none yet."""


@dataclass(frozen=True, slots=True)
class Held:
    """One access that waits for approval."""

    user: UserId
    reason: str
    """`NotEntitled` or `Withdrawn` for a revocation, `Entitled` for a grant, `Matching` or `All` for an adoption."""
    hold: Hold


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """What this pass does to one domain, and what it leaves. Nothing in it means in sync."""

    standing: Standing
    mode: Mode
    suspended: Reason | None
    """Why nothing at all may be written for it: Suspended or Frozen; None = its mode decides."""
    difference: Difference
    grants: tuple[Grant, ...] = ()
    adoptions: tuple[Adoption, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    held: tuple[Held, ...] = ()
    suspected: int = 0
    """Open cases that are not held: they wait for confirmation, for an answer, or for the end of a wave."""
    suppressed_grants: int = 0
    suppressed_revocations: int = 0
    restored: int = 0
    """Grants of rows that were ours and that somebody else has removed."""
    halted: Reason | None = None
    """Why none of its revocations is carried out now, approved or not; None = they are."""

    @property
    def waits(self) -> bool:
        """Whether something waits until a person has acted."""
        return bool(self.held) or (self.halted is not None and self.suspected > 0)

    @property
    def contested(self) -> int:
        """How many accesses are left to something else that writes them as well."""
        return self.difference.contested if self.mode is not Mode.OBSERVE else 0

    @property
    def suppressed(self) -> int:
        """How many changes the mode or `suspend` leaves undone."""
        return self.suppressed_grants + self.suppressed_revocations


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole decision of one pass."""

    domains: tuple[DomainPlan, ...]
    holds: tuple[Hold, ...]
    """Holds that wait for approval after this pass."""
    changes: Changes
    """What one transaction carries out."""
    ask_again: Mapping[ResourceKey, frozenset[UserId]]
    """Suspects whom each source has to confirm at a second ask."""
    terms_changed: bool = False
    """Whether an object has other terms than those that were accepted last: the end of a wave may accept them."""


def plan(question: Question) -> Plan:
    """Decide. Deterministic: the same question gives the same plan.

    Only declared domains that may act are looked at; everything else is out of scope and stays untouched (D3).
    """
    snapshot = question.snapshot
    voices, drafts = draft(question)
    bench = Bench(
        snapshot.taken_at, question.approvals, {hold.id: hold for hold in snapshot.holds}, snapshot.spent_holds
    )
    verdict = _judge(drafts, question, voices, bench)
    lost = _lost(snapshot)
    plans = tuple(_plan_domain(draft, verdict, lost, _halted(draft, question.sources)) for draft in drafts)
    return Plan(
        domains=plans,
        holds=tuple(hold for hold in bench.standing.values() if not hold.approved),
        # A freeze stops everything: claims, cases and holds stay as they are as well.
        changes=Changes() if snapshot.freeze else _changes(plans, drafts, verdict, question, bench, lost=lost),
        ask_again=_ask_again(drafts, voices),
        terms_changed=verdict.terms_changed,
    )


def draft(question: Question) -> tuple[Mapping[ResourceKey, Voice], Sequence[Draft]]:
    """Compare every domain with its sources, before any limit has its say."""
    snapshot = question.snapshot
    voices = {
        key: listen(state, snapshot.users, now=question.now, confirm_after=question.confirm_after)
        for key, state in question.sources.items()
    }
    drafter = Drafter(
        snapshot,
        identify(snapshot.users),
        voices,
        locate(snapshot.domains),
        cases_by_domain(snapshot.cases),
        question.as_if,
    )
    return voices, [drafter.draft(standing) for standing in question.standings]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the guard decided over all domains."""

    executed: Mapping[ResourceKey, tuple[OpenCase, ...]] = field(default_factory=dict)
    gone: frozenset[AccessId] = frozenset()
    """Rows of executed cases."""
    cases: Mapping[AccessId, Case] = field(default_factory=dict)
    """Judged cases that stay open, in their new state."""
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """Holds that stand, by id."""
    admissions: Admissions = field(default_factory=Admissions)
    agreed: frozenset[Scope] = frozenset()
    """Objects whose terms count from now on, whatever they were."""
    terms_changed: bool = False

    def remaining(self, draft: Draft) -> tuple[Case, ...]:
        """The open cases of one domain after this pass."""
        rest = (item for item in draft.docket.open if item.access.id not in self.gone)
        return tuple(self.cases.get(item.access.id, item.case) for item in rest)


def _judge(drafts: Sequence[Draft], question: Question, voices: Mapping[ResourceKey, Voice], bench: Bench) -> _Verdict:
    if question.snapshot.freeze:
        bench.keep(question.snapshot.holds)
        return _Verdict()
    admissions = ceilings(drafts, question.snapshot, bench)
    granted = {draft.key: len(_admitted(draft.difference.missing, admissions)) for draft in drafts if draft.acts}
    withdrawals = [judge_withdrawal(draft.scope, draft.docket.open, bench) for draft in drafts if draft.withdraws]
    changes = _terms_changed(drafts, question)
    session = convene(drafts, voices, question.snapshot, granted, changes)
    bench.keep(bench.undecided(judged=session.scopes, gathered=_gathered(drafts, question.sources)))
    judgements = [judge(session.sources, session.domains, session.floors, bench, ripe=session.ripe), *withdrawals]
    executable = [item for judgement in judgements for item in judgement.executable]
    executed: dict[ResourceKey, tuple[OpenCase, ...]] = defaultdict(tuple)
    for item in executable:
        executed[item.resource] += (item,)
    return _Verdict(
        executed,
        frozenset(item.access.id for item in executable),
        {case.access: case for judgement in judgements for case in judgement.cases},
        bench.standing,
        admissions,
        frozenset(_agreed(drafts, session, judgements, bench)),
        bool(changes),
    )


def _terms_changed(drafts: Sequence[Draft], question: Question) -> Mapping[Scope, tuple[str, ...]]:
    """The terms that differ from those under which an object was last let revoke. A first time has none to differ."""
    if question.hypothetical:
        return {}
    snapshot, found = question.snapshot, {}
    for key, state in question.sources.items():
        scope = Scope("EntitlementSource", key)
        if scope in snapshot.known:
            found[scope] = terms_changed(snapshot.known[scope].terms, terms_of_source(state.spec, question.version))
    for draft in drafts:
        claim = snapshot.claims.get(draft.name)
        if draft.standing.admitted and claim is not None and claim.terms is not None:
            found[draft.scope] = terms_changed(claim.terms, terms_of_domain(draft.standing.resource, draft.mode))
    return {scope: names for scope, names in found.items() if names}


def _agreed(
    drafts: Sequence[Draft], session: Session, judgements: Sequence[Judgement], bench: Bench
) -> Iterator[Scope]:
    """Objects whose wave would revoke nothing that is held, and those for which a person has approved the change."""
    held = {case.access for judgement in judgements for case in judgement.cases if case.state is CaseState.HELD}
    waiting = {
        scope
        for draft in drafts
        if any(item.access.id in held for item in draft.docket.open)
        for scope in (draft.scope, *(Scope("EntitlementSource", key) for key in draft.standing.sources))
    }
    yield from session.heard - waiting
    for hold in (*bench.recorded.values(), *bench.standing.values(), *bench.used.values()):
        if kind_of(hold) == CHANGE and bench.approvals.cover(hold) and hold.scope in session.scopes:
            yield hold.scope


def _gathered(drafts: Sequence[Draft], states: Mapping[ResourceKey, SourceState]) -> frozenset[Scope]:
    """Declared objects about which everything has been said that there is to say."""
    heard = {key for key, state in states.items() if state.gathered}
    domains = {draft.scope for draft in drafts if heard.issuperset(draft.standing.sources)}
    return frozenset(domains | {Scope("EntitlementSource", key) for key in heard})


def _halted(draft: Draft, states: Mapping[ResourceKey, SourceState]) -> Reason | None:
    wrong = draft.revokes and not draft.withdraws and any(states[key].canary_wrong for key in draft.standing.sources)
    return Reason.CANARY_WRONG if wrong else None


def _plan_domain(
    draft: Draft, verdict: _Verdict, lost: Mapping[Holding, AccessId], halted: Reason | None
) -> DomainPlan:
    difference = draft.difference
    found = DomainPlan(draft.standing, draft.mode, draft.suspended, difference)
    removable = len(difference.suspects) + len(difference.denied)
    if not draft.acts:
        return replace(found, suppressed_grants=len(difference.missing), suppressed_revocations=removable)
    executed = verdict.executed.get(draft.key, ())
    waiting = verdict.remaining(draft)
    held_cases = [case for case in waiting if case.state is CaseState.HELD and case.hold in verdict.holds]
    grants = _admitted(difference.missing, verdict.admissions)
    return replace(
        found,
        grants=grants,
        adoptions=_admitted(difference.adoptable, verdict.admissions),
        revocations=_revocations(draft, executed),
        held=_held(draft, held_cases, verdict),
        suspected=len(waiting) - len(held_cases),
        suppressed_revocations=0 if draft.revokes else removable,
        restored=sum(grant.holding in lost for grant in grants),
        halted=halted,
    )


def _admitted(arrivals: tuple[Arrival, ...], admissions: Admissions) -> tuple[Arrival, ...]:
    """Those that wait for nobody, with the hold whose approval they needed."""
    held, let_through = admissions.held, admissions.let_through
    if not held and not let_through:
        return arrivals
    return tuple(replace(item, hold=let_through.get(item.holding)) for item in arrivals if item.holding not in held)


def _revocations(draft: Draft, executed: Sequence[OpenCase]) -> tuple[Revocation, ...]:
    if not draft.revokes:
        return ()
    sources = draft.standing.sources
    denied = [Revocation(row, draft.name, sources, Denied()) for row in draft.difference.denied]
    judged = [
        Revocation(item.access, draft.name, sources, _proof(draft, item.case, item.suspect))
        for item in executed
        if item.suspect is not None
    ]
    return (*denied, *judged)


def _proof(draft: Draft, case: Case, suspect: Suspect) -> NotEntitled | Withdrawn:
    return Withdrawn(case) if draft.withdraws else NotEntitled(case, suspect.evidence)


def _held(draft: Draft, cases: Sequence[Case], verdict: _Verdict) -> tuple[Held, ...]:
    reason = "Withdrawn" if draft.withdraws else "NotEntitled"
    revocations = [Held(case.user, reason, verdict.holds[case.hold]) for case in cases if case.hold]
    waiting = verdict.admissions.held
    grants = [
        Held(grant.user, "Entitled", waiting[grant.holding])
        for grant in draft.difference.missing
        if grant.holding in waiting
    ]
    adoptions = [
        Held(item.access.user, item.reason.value, waiting[item.holding])
        for item in draft.difference.adoptable
        if item.holding in waiting
    ]
    return (*revocations, *grants, *adoptions)


def _changes(
    plans: Sequence[DomainPlan],
    drafts: Sequence[Draft],
    verdict: _Verdict,
    question: Question,
    bench: Bench,
    *,
    lost: Mapping[Holding, AccessId],
) -> Changes:
    snapshot = question.snapshot
    recorded = {case.access: case for case in snapshot.cases}
    executed = [item.case for items in verdict.executed.values() for item in items]
    return Changes(
        grants=tuple(grant for domain in plans for grant in domain.grants),
        adoptions=tuple(adoption for domain in plans for adoption in domain.adoptions),
        revocations=tuple(revocation for domain in plans for revocation in domain.revocations),
        forgotten=_forgotten(drafts, lost),
        cases=(
            *changed((case for draft in drafts for case in verdict.remaining(draft)), recorded),
            *(case for draft in drafts for case in draft.docket.closed),
            *(replace(case, state=CaseState.EXECUTED) for case in executed),
        ),
        holds=_changed_holds(bench),
        claims=new_claims(question.standings, snapshot.claims),
        known=tuple(_newly_known(question, verdict)),
        agreed=tuple(_newly_agreed(drafts, snapshot, verdict)),
    )


def _newly_known(question: Question, verdict: _Verdict) -> Iterator[Known]:
    """The sources that are worked with for the first time, and those whose new terms count from now on."""
    snapshot = question.snapshot
    used = {key for standing in question.standings for key in standing.sources}
    for key in sorted(used):
        scope = Scope("EntitlementSource", key)
        terms = terms_of_source(question.sources[key].spec, question.version)
        known = snapshot.known.get(scope)
        if known is None:
            yield Known(scope, snapshot.taken_at, terms)
        elif scope in verdict.agreed and known.terms != terms:
            yield replace(known, terms=terms)


def _newly_agreed(drafts: Sequence[Draft], snapshot: Snapshot, verdict: _Verdict) -> Iterator[Agreed]:
    """The terms of domains that have none yet, and those that count from now on."""
    for draft in drafts:
        claim = snapshot.claims.get(draft.name)
        before = claim.terms if claim is not None else None
        # Nothing of a domain that is given up goes without approval anyway.
        if draft.standing.admitted and (before is None or draft.withdraws or draft.scope in verdict.agreed):
            terms = terms_of_domain(draft.standing.resource, draft.mode)
            if before != terms:
                yield Agreed(draft.name, terms)


def _changed_holds(bench: Bench) -> tuple[Hold, ...]:
    standing = (hold for hold in bench.standing.values() if bench.recorded.get(hold.id) != hold)
    return (*standing, *bench.over())


def _lost(snapshot: Snapshot) -> Mapping[Holding, AccessId]:
    """Ledger entries without their row, by holding: those of domains that were not looked at included."""
    standing = {access.id for rows in snapshot.accesses.values() for access in rows}
    return {
        Holding(owned.domain, owned.user): owned.access
        for owned in snapshot.ledger.values()
        if owned.access not in standing
    }


def _forgotten(drafts: Sequence[Draft], lost: Mapping[Holding, AccessId]) -> tuple[AccessId, ...]:
    """Ledger entries of acting domains whose row is proved gone."""
    acting = {row.id for draft in drafts if draft.acts and (row := draft.difference.located.row) is not None}
    return tuple(sorted(access for holding, access in lost.items() if holding.domain in acting))


def _ask_again(drafts: Sequence[Draft], voices: Mapping[ResourceKey, Voice]) -> Mapping[ResourceKey, frozenset[UserId]]:
    wanted: dict[ResourceKey, set[UserId]] = defaultdict(set)
    for draft in drafts:
        for item in draft.docket.open:
            if item.suspect is None or item.confirmed:
                continue
            for key in draft.standing.sources:
                answer = voices[key].denies(item.access.user, draft.name)
                if answer is not None and not voices[key].agrees_twice(answer):
                    wanted[key].add(item.access.user)
    return {key: frozenset(users) for key, users in wanted.items()}
