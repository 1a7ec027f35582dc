"""The Ready tables of docs/conditions.md as data: each situation, how it comes about, and what the status says then.

`python -m tests.support.situations` writes the golden objects, which other tools are tested with, anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from controller.planning.conditions import interrupted_conditions, stalled_conditions
from controller.planning.facts import AnswerReason, Claim, Contest, Freeze, Hold, Holding, Unavailable, Unknown
from controller.planning.health import SourceHealth
from controller.planning.plan import DomainPlan, plan
from controller.planning.sources import Tally
from controller.planning.status import Round, Status, Wave, domain_status, overlaid_status, source_status
from controller.planning.supposing import BlastRadius
from controller.resources.conditions import Reason
from controller.resources.model import API_VERSION, Resource
from controller.resources.names import ResourceKey
from tests.support.planning import START, PlanningWorld, maildomain, source, source_key

GOLDEN = Path(__file__).parents[1] / "golden"
NAME = "x.fr"

Declared = TypeVar("Declared", bound=Resource)
Said = tuple[str | None, str]
"""Status and reason. Status None: as it was before, `Unknown` with that reason on a new object."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One situation of one kind. What is not named here is as in sync."""

    name: str
    row: str
    """Its line in the table of docs/conditions.md."""
    tell: Callable[[Status], Status]
    """The status that it makes of the one before."""
    ready: Said
    reconciling: Said = ("False", "Reconciled")
    stalled: Said = ("False", "Reconciled")
    also: Mapping[str, Said] | None = None
    """Further conditions, where they are not as in sync."""

    def __str__(self) -> str:
        return self.name


# --- MailDomain ---


def in_sync(**spec: Any) -> PlanningWorld:
    """One domain with two administrators who are entitled."""
    world = PlanningWorld()
    world.domain(NAME, **spec)
    for name in ("ada", "bob"):
        world.admin(world.user(f"{name}@x.fr"), NAME)
        world.says(name, NAME)
    world.apply()
    return world


def revoked(world: PlanningWorld) -> PlanningWorld:
    """One of the two is not named any more, a wave later."""
    world.later(minutes=10)
    world.says("ada")
    world.says("bob", NAME)
    world.confirm_and_apply()
    return world


def _suspected() -> PlanningWorld:
    world = in_sync()
    world.later(minutes=10)
    world.says("ada")
    world.apply()
    return world


def _held() -> PlanningWorld:
    world = in_sync()
    world.later(minutes=10)
    world.all_say()
    world.confirm_and_apply()
    return world


def _withdrawn() -> PlanningWorld:
    world = in_sync(mode="Withdraw")
    world.apply(approve=[hold.id for hold in world.plan().holds])
    return world


def _contested() -> PlanningWorld:
    world = in_sync()
    row = next(row for row in world.rows.values() if row.user == "ada")
    del world.rows[row.id]
    world.contests[Holding(row.domain, row.user)] = Contest(vanished=True)
    return world


def _missing() -> PlanningWorld:
    world = PlanningWorld()
    world.domain(NAME, row=False)
    return world


def _named(row: str, *, alias: bool) -> PlanningWorld:
    world = PlanningWorld()
    world.domain(row, alias=alias)
    return world


def _stale() -> PlanningWorld:
    world = in_sync()
    world.later(minutes=31)
    return world


def _gathering() -> PlanningWorld:
    world = in_sync()
    world.answers[source_key()].clear()
    world.states[source_key()] = {"settled": False, "gathered": False}
    return world


def _conflict() -> PlanningWorld:
    world = PlanningWorld()
    world.domain(NAME, metadata={"uid": "1"})
    world.declared.append(maildomain(NAME, name="second", metadata={"uid": "2"}))
    return world


def _foreign() -> PlanningWorld:
    world = in_sync()
    world.claims[world.declared[0].domain] = Claim("another", world.declared[0].key)
    return world


def _frozen() -> PlanningWorld:
    world = in_sync()
    world.freeze = Freeze()
    return world


def _people() -> PlanningWorld:
    """Everybody who is counted and does not change what is said."""
    world = in_sync(protectedAdmins=["nobody@x.fr", "ada@x.fr"], deniedAdmins=["denied@x.fr"])
    for name, email in (("twin", "same@x.fr"), ("other", "same@x.fr"), ("denied", "denied@x.fr")):
        world.says(world.user(email, name=name), NAME)
    world.admin(world.user("left@x.fr", active=False), NAME)
    world.says("bob", verdict=Unavailable(AnswerReason.SERVER_ERROR))
    world.apply()
    return world


def of_generation_one(item: Declared) -> Declared:
    """The same as the API server stores it."""
    metadata = item.metadata.model_copy(update={"generation": 1})
    return item.model_copy(update={"metadata": metadata})


def _domain(
    arrange: Callable[[], PlanningWorld], *, rows_removed: bool = False, refusal: Reason | None = None
) -> Callable[[Status], Status]:
    @cache
    def arranged() -> tuple[DomainPlan, Mapping[ResourceKey, SourceHealth], datetime]:
        world = arrange()
        world.declared[:] = [of_generation_one(item) for item in world.declared]
        question = world.question()
        standings = [replace(item, refusal=refusal or item.refusal) for item in question.standings]
        return plan(replace(question, standings=standings)).domains[-1], world.health(), world.time

    def tell(before: Status) -> Status:
        plan, health, now = arranged()
        return domain_status(plan, health, before, handled=None, wrote=False, rows_removed=rows_removed, now=now)

    return tell


def _stalls(reason: Reason) -> Callable[[Status], Status]:
    return lambda before: overlaid_status(1, before, stalled_conditions(reason), now=START)


def _refused(name: str, arrange: Callable[[], PlanningWorld], reason: str) -> Situation:
    return Situation(name, REFUSED, _domain(arrange), ("False", reason), stalled=("True", reason))


def _stalled(name: str, reason: Reason, row: str) -> Situation:
    said = ("True", reason.value)
    return Situation(
        name, row, _stalls(reason), ("False", reason.value), reconciling=("False", reason.value), stalled=said
    )


def _away(before: Status) -> Status:
    return overlaid_status(1, before, interrupted_conditions(Reason.DATABASE_UNAVAILABLE), now=START)


AWAY = Situation(
    "database-away",
    "the mail database has been away for a minute",
    _away,
    ("Unknown", "DatabaseUnavailable"),
    ("True", "DatabaseUnavailable"),
)
NOT_CANONICAL = "only rows under a name that is not canonical, or an alias"
REFUSED = "not authorised, claim conflict, other owner, unknown schema, not migrated, invalid spec"
STOPPED = "suspended, or everything frozen"
SUPPRESSED = "a difference that the mode does not allow to carry out"
BY_MODE: Mapping[str, Said] = {"Drifted": ("True", "SuppressedByMode")}

DOMAINS = (
    Situation("in-sync", "in sync", _domain(in_sync), ("True", "InSync")),
    Situation(
        "observed", SUPPRESSED, _domain(lambda: revoked(in_sync(mode="Observe"))), ("True", "Observing"), also=BY_MODE
    ),
    Situation(
        "grant-only",
        SUPPRESSED,
        _domain(lambda: revoked(in_sync(mode="GrantOnly"))),
        ("True", "Observing"),
        also=BY_MODE,
    ),
    Situation(
        "suspected",
        "a row that no source names is being confirmed",
        _domain(_suspected),
        (None, "Suspected"),
        ("True", "Suspected"),
        also={"Drifted": ("True", "Suspected")},
    ),
    Situation(
        "held",
        "something is held, or suspected while a canary is wrong",
        _domain(_held),
        ("False", "RevocationsHeld"),
        also={"Drifted": ("True", "RevocationsHeld"), "RevocationsHeld": ("True", "RevocationLimit")},
    ),
    Situation(
        "withdrawn",
        "mode `Withdraw`, and nothing of ours is left",
        _domain(_withdrawn),
        ("True", "Withdrawn"),
    ),
    Situation(
        "missing",
        "the domain is not in the mail database",
        _domain(_missing),
        ("False", "DomainMissing"),
        ("True", "DomainMissing"),
    ),
    Situation(
        "source-not-found",
        "a source does not exist",
        _domain(lambda: in_sync(sourceRefs=[{"name": "nowhere"}])),
        ("False", "SourceNotFound"),
        ("True", "SourceNotFound"),
    ),
    Situation(
        "ambiguous",
        NOT_CANONICAL,
        _domain(lambda: _named("X.fr", alias=False)),
        ("False", "DomainAmbiguous"),
        stalled=("True", "DomainAmbiguous"),
    ),
    Situation(
        "alias",
        NOT_CANONICAL,
        _domain(lambda: _named(NAME, alias=True)),
        ("False", "DomainAlias"),
        stalled=("True", "DomainAlias"),
    ),
    _refused(
        "not-authorised",
        lambda: in_sync(sourceRefs=[{"name": "deploycenter", "namespace": "elsewhere"}]),
        "NotAuthorized",
    ),
    _refused("claim-conflict", _conflict, "DomainClaimConflict"),
    _refused("foreign-owner", _foreign, "ForeignOwner"),
    _stalled("schema-unknown", Reason.SCHEMA_UNKNOWN, REFUSED),
    _stalled("not-migrated", Reason.MIGRATION_NEEDED, REFUSED),
    _stalled("invalid-spec", Reason.INVALID_SPEC, REFUSED),
    Situation(
        "gathering",
        "first answers are being gathered",
        _domain(_gathering),
        (None, "Progressing"),
        ("True", "Progressing"),
    ),
    Situation(
        "stale",
        "more than 5 % of the administrators without an answer younger than `staleAfter`",
        _domain(_stale),
        ("Unknown", "SourceStale"),
        also={"Fresh": ("False", "SourceStale")},
    ),
    AWAY,
    Situation(
        "non-convergent",
        "what was written is planned again within two minutes, and nobody else changed a row",
        _domain(in_sync, refusal=Reason.NON_CONVERGENT),
        ("False", "NonConvergent"),
        stalled=("True", "NonConvergent"),
    ),
    Situation(
        "contested",
        "something else undoes what is written",
        _domain(_contested),
        ("False", "Contested"),
        also={"Drifted": ("True", "Contested")},
    ),
    Situation(
        "rows-removed",
        "somebody else removed rows of ours, which are granted again",
        _domain(in_sync, rows_removed=True),
        ("True", "InSync"),
        also={"Drifted": ("True", "RowsRemoved")},
    ),
    Situation(
        "suspended",
        STOPPED,
        _domain(lambda: in_sync(suspend=True)),
        (None, "Suspended"),
        ("False", "Suspended"),
    ),
    Situation("frozen", STOPPED, _domain(_frozen), (None, "Frozen"), ("False", "Frozen")),
    Situation(
        "people",
        "people pending, ambiguous, inactive, protected or denied; single users without an answer",
        _domain(_people),
        ("True", "InSync"),
    ),
)


# --- EntitlementSource ---


def _source(
    arrange: Callable[[], PlanningWorld], *, suspended: bool = False, frozen: bool = False
) -> Callable[[Status], Status]:
    @cache
    def arranged() -> tuple[SourceHealth, Hold | None, datetime]:
        world = arrange()
        held = (hold for hold in world.holds.values() if hold.scope.kind == "EntitlementSource" and not hold.closed)
        return world.health()[source_key()], next(held, None), world.time

    def tell(before: Status) -> Status:
        health, hold, now = arranged()
        return source_status(
            of_generation_one(source()).metadata,
            before,
            health,
            suspended=suspended,
            frozen=frozen,
            hold=hold,
            wave=Wave(START, START, Tally(asked=2, entitled=2)),
            estimate=Round(START - START, START - START),
            radius=BlastRadius(2, 1, 1),
            too_slow=False,
            epoch=1,
            journal=7,
            handled=None,
            now=now,
        )

    return tell


def _refusing(reason: AnswerReason) -> PlanningWorld:
    world = in_sync()
    world.states[source_key()] = {"refusal": reason}
    return world


def _closed() -> PlanningWorld:
    world = in_sync()
    for name in ("ada", "bob"):
        world.says(name, verdict=Unknown(AnswerReason.NOT_ACTIVATED))
    return world


def _down() -> PlanningWorld:
    world = in_sync()
    for name in ("ada", "bob"):
        world.says(name, verdict=Unavailable(AnswerReason.SERVER_ERROR))
    return world


def _source_held() -> PlanningWorld:
    """Eleven domains that lose one administrator each: more than a source may lose in a day."""
    world = PlanningWorld()
    for number in range(11):
        name = f"x{number}.fr"
        world.domain(name)
        for person in ("ada", "bob"):
            world.admin(world.user(f"{person}{number}@{name}"), name)
            world.says(f"{person}{number}", name)
    world.apply()
    world.later(minutes=10)
    for number in range(11):
        world.says(f"ada{number}")
    world.confirm_and_apply()
    return world


def _unreachable(name: str, arrange: Callable[[], PlanningWorld], reason: str, row: str = "") -> Situation:
    row = row or "it can't be asked, or more than 5 % of the users of the last wave have no answer"
    return Situation(name, row, _source(arrange), ("False", reason), also={"Reachable": ("False", reason)})


SOURCE_REFUSED = "not in a source namespace, unknown schema, not migrated, invalid spec"

SOURCES = (
    Situation("answering", "it answers", _source(in_sync), ("True", "Answering")),
    _unreachable("down", _down, "Unreachable"),
    _unreachable("key-refused", lambda: _refusing(AnswerReason.UNAUTHENTICATED), "Unauthenticated"),
    _unreachable("circuit-open", lambda: _refusing(AnswerReason.CIRCUIT_OPEN), "CircuitOpen"),
    _unreachable("secret-missing", lambda: _refusing(AnswerReason.SECRET_MISSING), "SecretMissing"),
    _unreachable("pivot-closed", _closed, "PivotClosed", "it answers, and no SIRET opens the answers"),
    Situation(
        "held",
        "its limit holds something, or a canary is wrong",
        _source(_source_held),
        ("False", "RevocationsHeld"),
        also={"RevocationsHeld": ("True", "RevocationLimit")},
    ),
    Situation(
        "gathering",
        "first answers are being gathered",
        _source(_gathering),
        (None, "Progressing"),
        ("True", "Progressing"),
        also={"Reachable": ("Unknown", "Progressing")},
    ),
    Situation(
        "stale",
        "more than 5 % of the administrators without an answer younger than `staleAfter`",
        _source(_stale),
        ("Unknown", "SourceStale"),
    ),
    AWAY,
    Situation("suspended", "suspended", _source(in_sync, suspended=True), (None, "Suspended"), ("False", "Suspended")),
    Situation(
        "frozen",
        "everything frozen",
        _source(in_sync, frozen=True),
        ("True", "Answering"),
        ("False", "Frozen"),
    ),
    _stalled("not-a-source-namespace", Reason.NOT_AUTHORIZED, SOURCE_REFUSED),
    _stalled("schema-unknown", Reason.SCHEMA_UNKNOWN, SOURCE_REFUSED),
    _stalled("not-migrated", Reason.MIGRATION_NEEDED, SOURCE_REFUSED),
    _stalled("invalid-spec", Reason.INVALID_SPEC, SOURCE_REFUSED),
)

SITUATIONS = {"MailDomain": DOMAINS, "EntitlementSource": SOURCES}
GOOD: Mapping[str, Mapping[str, Said]] = {
    "MailDomain": {
        "Fresh": ("True", "Fresh"),
        "Drifted": ("False", "NoDrift"),
        "RevocationsHeld": ("False", "WithinLimits"),
    },
    "EntitlementSource": {"Reachable": ("True", "Answering"), "RevocationsHeld": ("False", "WithinLimits")},
}
"""The further conditions of a resource that is as wanted."""


# --- golden objects ---

UNSEEN: Status = {"observedGeneration": -1}
"""What the API server says of an object that the controller has not seen yet: the default of the CRDs."""

SPECS: Mapping[str, Mapping[str, Any]] = {
    "MailDomain": {"domain": NAME, "mode": "Enforce", "sourceRefs": [{"name": "deploycenter"}]},
    "EntitlementSource": {"provider": {"local": {}}},
}


def objects(kind: str) -> list[dict[str, Any]]:
    """An object in each situation: one that nobody has looked at yet, new ones, and those that were as wanted before.

    Of the last only those are told apart that leave Ready as it was.
    """
    first, *_ = SITUATIONS[kind]
    well = first.tell({})
    found = [_object(kind, "unseen", UNSEEN)]
    found += [_object(kind, situation.name, situation.tell({})) for situation in SITUATIONS[kind]]
    found += [
        _object(kind, f"{situation.name}-after-{first.name}", situation.tell(well))
        for situation in SITUATIONS[kind]
        if situation.ready[0] is None
    ]
    edited = _object(kind, "edited", well)
    edited["metadata"]["generation"] = 2
    return [*found, edited]


def golden(kind: str) -> str:
    """What stands in the file of that kind."""
    return yaml.safe_dump_all(objects(kind), sort_keys=False, width=120)


def _object(kind: str, name: str, status: Status) -> dict[str, Any]:
    spec = {**SPECS[kind], "suspend": True} if name.startswith("suspended") else dict(SPECS[kind])
    metadata = {"name": name, "namespace": "default", "generation": 1}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec, "status": dict(status)}


if __name__ == "__main__":
    for which in SITUATIONS:
        (GOLDEN / f"{which}.yaml").write_text(golden(which), encoding="utf-8")
