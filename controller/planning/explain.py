"""Why does this person administer this domain, or not? Every fact behind one access, in the order of decision."""

from collections.abc import Mapping
from dataclasses import dataclass

from controller.planning.changes import Grant, Revocation
from controller.planning.difference import NOWHERE, KeepReason, locate, reason_to_keep
from controller.planning.facts import Access, Case, Entitled, Hold, Holding, Listed, Origin, UserId
from controller.planning.identity import identify
from controller.planning.plan import DomainPlan, Held, Plan, Question
from controller.planning.sources import listen
from controller.resources.conditions import Reason
from controller.resources.maildomain import Mode
from controller.resources.names import DomainName, Email, ResourceKey


@dataclass(frozen=True, slots=True)
class Said:
    """What one source said about the user."""

    source: ResourceKey
    answer: str
    """`Entitled`, `Partial`, `Unknown`, `Malformed`, `Unavailable`, or `NotAsked`."""
    reason: str | None
    names_domain: bool
    fresh: bool
    age: float | None
    """Seconds since the answer."""
    can_access: bool | None = None
    siret: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every fact behind one access.

    `decision` says in one word what happens: `Grant`, `Keep`, `Revoke`, `Hold`,
    `Suspect`, `Nothing`; `because` is the reason.
    """

    domain: DomainName
    declared: ResourceKey | None
    mode: Mode | None
    refusal: Reason | None
    users: tuple[UserId, ...]
    """The users whom the e-mail matches; more than one active is ambiguous."""
    active: bool
    ambiguous: bool
    access: Access | None
    owned: Origin | None
    protected: bool
    denied: bool
    said: tuple[Said, ...]
    case: Case | None
    hold: Hold | None
    decision: str
    because: str


def explain(question: Question, decided: Plan, email: Email, domain: DomainName) -> Explanation:
    """Explain one access of one person; `decided` is the plan of the same question."""
    snapshot = question.snapshot
    identities = identify(snapshot.users)
    users = identities.having(email)
    planned = _planned(decided, domain)
    user = next((user for user in users if snapshot.users[user].active), users[0] if users else None)
    row = locate(snapshot.domains).get(domain, NOWHERE).row
    accesses = snapshot.accesses.get(row.id, ()) if row is not None else ()
    access = next((access for access in accesses if access.user == user), None)
    owned = snapshot.ledger.get(access.id) if access is not None else None
    held = next((item for item in planned.held if item.user == user), None) if planned else None
    case = next((case for case in snapshot.cases if access is not None and case.access == access.id), None)
    decision, because = _decision(question, planned, access, user)
    spec = planned.standing.resource.spec if planned else None
    return Explanation(
        domain=domain,
        declared=planned.standing.resource.key if planned else None,
        mode=planned.mode if planned else None,
        refusal=(planned.standing.refusal or planned.difference.located.missing) if planned else None,
        users=users,
        active=user is not None and snapshot.users[user].active,
        ambiguous=user in identities.ambiguous,
        access=access,
        owned=owned.origin if owned else None,
        protected=spec is not None and user in identities.matching(spec.protected_admins),
        denied=spec is not None and user in identities.matching(spec.denied_admins),
        said=_said(question, planned, user, domain),
        case=case,
        hold=held.hold if held else None,
        decision=decision,
        because=because,
    )


def _planned(decided: Plan, domain: DomainName) -> DomainPlan | None:
    """The resource that acts for the domain, else one that would like to."""
    same = [item for item in decided.domains if item.standing.resource.domain == domain]
    return next((item for item in same if item.standing.admitted), same[0] if same else None)


def _said(question: Question, planned: DomainPlan | None, user: UserId | None, domain: DomainName) -> tuple[Said, ...]:
    if planned is None or user is None:
        return ()
    found = []
    for key in planned.standing.sources:
        state = question.sources[key]
        answer = state.answers.get(user)
        if answer is None:
            found.append(Said(key, "NotAsked", None, names_domain=False, fresh=False, age=None))
            continue
        verdict = answer.verdict
        voice = listen(state, question.snapshot.users, now=question.now)
        found.append(
            Said(
                key,
                type(verdict).__name__,
                None if isinstance(verdict, Entitled) else verdict.reason.value,
                names_domain=isinstance(verdict, Listed) and domain in verdict.domains,
                fresh=voice.fresh(user) is not None,
                age=question.now - answer.at,
                can_access=answer.can_access,
                siret=answer.siret,
            )
        )
    return tuple(found)


def _decision(
    question: Question, planned: DomainPlan | None, access: Access | None, user: UserId | None
) -> tuple[str, str]:
    if planned is None:
        return "Nothing", "NotDeclared"
    refusal = planned.standing.refusal or planned.difference.located.missing
    if refusal is not None:
        return "Nothing", refusal.value
    if user is None:
        return "Nothing", "NoSuchUser"
    done: Mapping[str, Grant | Revocation | Held | None] = {
        "Grant": next((grant for grant in planned.grants if grant.user == user), None),
        "Revoke": next((item for item in planned.revocations if item.access.user == user), None),
        "Hold": next((item for item in planned.held if item.user == user), None),
    }
    for word, item in done.items():
        if item is not None:
            return word, item.reason
    if access is None:
        return "Nothing", _left_out(question, planned, user)
    if not access.admin:
        return "Keep", "RoleConflict"
    return _kept(question, planned, access)


def _left_out(question: Question, planned: DomainPlan, user: UserId) -> str:
    row = planned.difference.located.row
    if row is None or user not in planned.difference.desired:
        return "NotEntitled"
    contest = question.snapshot.contests.get(Holding(row.id, user))
    return "Contested" if contest is not None and contest.vanished else "SuppressedByMode"


def _kept(question: Question, planned: DomainPlan, access: Access) -> tuple[str, str]:
    snapshot = question.snapshot
    voices = tuple(listen(question.sources[key], snapshot.users, now=question.now) for key in planned.standing.sources)
    keep: KeepReason | None = reason_to_keep(
        planned.standing.resource, access, voices, snapshot, identify(snapshot.users)
    )
    if keep is not None:
        return "Keep", keep.value
    return ("Keep", "SuppressedByMode") if planned.suppressed_revocations else ("Suspect", "NotEntitled")
