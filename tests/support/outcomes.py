"""What happens to a row? The events and policies of docs/outcomes.md, and what planning makes of one scene."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from controller.planning.difference import Difference
from controller.planning.facts import OPEN_STATES, AccessId, DomainId, Holding, Seal, UserId, Verdict
from controller.planning.guard import LIMIT_REASONS, kind_of
from controller.planning.plan import Plan
from controller.resources.names import DomainName
from tests.support.planning import PlanningWorld
from tests.support.tables import Table

POLICIES: dict[str, dict[str, str]] = {
    "Observe": {"mode": "Observe"},
    "GrantOnly": {"mode": "GrantOnly"},
    "Enforce, Ledger": {"mode": "Enforce"},
    "Enforce, Authoritative": {"mode": "Enforce", "ownership": "Authoritative"},
    "Withdraw": {"mode": "Withdraw"},
}


class Event(StrEnum):
    """Everything that is shown, in the order of the page."""

    NAMED = "named; no row"
    NAMED_FOREIGN = "named; a row that somebody has added by hand"
    NAMED_FOREIGN_NEVER = "the same with `adoption: Never`"
    NAMED_OURS = "named; our row"
    NAMED_MEMBER = "named; a row of another role"
    NAMED_PARTLY = "named in a list that is partly unreadable (`Partial`); no row"
    NAMED_BY_ONE = "named by one source, denied by another; our row"
    NAMED_AMBIGUOUS = "named; the e-mail is that of two active users; no row"
    NAMED_INACTIVE = "named, then the user becomes inactive; no row"
    NAMED_PENDING = "named; the domain is not in the mail database"
    NAMED_STRANGER = "named; the e-mail is of none of `adminEmailDomains`; no row"
    NAMED_TOO_MANY = "named; `maxAdmins` are there already; no row"
    NAMED_REMOVED = "named; somebody has removed our row"
    NAMED_VANISHING = "named; somebody has removed our row three times within a day"
    EMPTY = "`[]`; our row"
    EMPTY_FOREIGN = "`[]`; a row that somebody has added by hand"
    EMPTY_FOREIGN_ALL = "the same with `adoption: All`"
    EMPTY_MEMBER = "`[]`; a row of another role"
    OTHERS = "other domains are named; our row"
    OTHERS_PARTLY = "other domains are named in a list that is partly unreadable (`Partial`); our row"
    ABSENT = "the key is absent (`Unknown`); our row"
    MALFORMED = "a login page (`Malformed`); our row"
    UNAVAILABLE = "timeout or 500 (`Unavailable`); our row"
    UNAUTHENTICATED = "`[]`, then 401 to everybody; our row"
    STALE = "`[]`, longer ago than `staleAfter`; our row"
    ONE_SILENT = "`[]`, and another source of the domain is silent; our row"
    NO_WAVE = "`[]`, and no wave of the source is complete; our row"
    CANARY_WRONG = "`[]`, and a canary of the source is wrong; our row"
    AMBIGUOUS = "`[]`; the e-mail is that of two active users; our row"
    INACTIVE = "`[]`, then the user becomes inactive; our row"
    RENAMED = "`[]`, then the user has another e-mail; our row"
    RENAMED_EMPTY = "`[]` for the new e-mail of a renamed user; our row"
    BROUGHT_BACK = "`[]`; we have removed the row, and somebody has added it again"
    PROTECTED = "`[]`; in `protectedAdmins`; our row"
    PINNED = "`[]`; a rollback has restored our row"
    LAST = "`[]`; fewer than `minAdmins` would be left; our row"
    MASS = "`[]` about everybody; our rows"
    DENIED = "named, and in `deniedAdmins`; our row"
    DENIED_FOREIGN = "in `deniedAdmins`, no answer; a row that somebody has added by hand"
    DENIED_ABSENT = "named, and in `deniedAdmins`; no row"
    SUSPENDED = "`[]`; the domain is suspended; our row"
    SOURCE_SUSPENDED = "`[]`; the source is suspended; our row"
    FROZEN = "`[]`; everything is frozen; our row"
    FROZEN_NAMED = "named; everything is frozen; no row"
    DELETED = "`[]`; the MailDomain is deleted; our row"


TABLE = Table("outcomes.md", ("Event", *POLICIES), Event, target="outcomes")

DOMAIN = DomainName("commune.fr")
ANNE, BERT = UserId("anne"), UserId("bert")
"""Anne is named and has our row throughout; the event is about Bert."""
HELD_BY = Holding(DomainId(DOMAIN), BERT)


@dataclass
class Scene:
    """One domain under one policy, with Anne, who is as she should be, and Bert."""

    world: PlanningWorld = field(default_factory=PlanningWorld)
    spec: dict[str, Any] = field(default_factory=dict)
    """What is declared besides the policy."""
    again: bool = True
    """Whether the source says the same once more, when the time of a confirmation has passed."""
    missing: bool = False
    """Whether the mail database does not know the domain."""
    deleted: bool = False
    """Whether nothing is declared any more."""

    def __post_init__(self) -> None:
        self.world.seal = Seal("of this table")
        self.world.add_source()
        for name in (ANNE, BERT):
            self.world.user(f"{name}@{DOMAIN}")
        self.world.admin(ANNE, DOMAIN)
        self.world.says(ANNE, DOMAIN)

    def row(self, *, ours: bool = True, admin: bool = True) -> AccessId:
        """Bert has a row; if it is ours, it became so under the e-mail that he has now."""
        row = self.world.admin(BERT, DOMAIN, owned=ours, admin=admin).id
        email, seal = self.world.users[BERT].email, self.world.seal
        if ours and email is not None and seal is not None:
            self.world.ledger[row] = replace(self.world.ledger[row], identity=seal.of(email))
        return row

    def says(self, *domains: str, verdict: Verdict | None = None) -> None:
        """The source answers about Bert."""
        self.world.says(BERT, *domains, verdict=verdict)

    def says_nothing_twice(self) -> None:
        """The source has said `[]` about Bert, and has confirmed it; it will not be heard again."""
        self.says()
        self.world.repeat(seconds=31)
        self.again = False

    def changes(self, **changes: Any) -> None:
        """Bert is changed in the mail database."""
        self.world.users[BERT] = replace(self.world.users[BERT], **changes)

    def source(self, **state: Any) -> None:
        """How the source is."""
        self.world.states = dict.fromkeys(self.world.sources, state)

    # --- what is made of it ---

    def outcome(self, policy: Mapping[str, str]) -> str:
        """Let the same be said twice under this policy, and say what has become of Bert."""
        if not self.deleted:
            self.world.domain(DOMAIN, row=not self.missing, **(self.spec | dict(policy)))
        before = self._row()
        first = self.world.apply()
        at_once = self._row() is None
        if self.again:
            self.world.repeat(seconds=31)
        decided = self.world.apply()
        now = self._row()
        if now != before:
            return "granted" if now else f"removed{' at once' * at_once}"
        if waiting := [hold for hold in decided.holds if HELD_BY in hold.accesses]:
            return f"{'stays' if now else 'no row'}: held as `{LIMIT_REASONS[kind_of(waiting[0])]}` {self._until()}"
        adopted = HELD_BY in {item.holding for item in first.changes.adoptions}
        return f"{'stays' if now else 'no row'}{', adopted' * adopted}{self._told(decided)}"

    def _row(self) -> AccessId | None:
        return next((row.id for row in self.world.rows.values() if Holding(row.domain, row.user) == HELD_BY), None)

    def _told(self, decided: Plan) -> str:
        """What a plan counts of somebody to whom nothing happens."""
        if any(case.state in OPEN_STATES and case.holding == HELD_BY for case in self.world.cases.values()):
            return ", suspected"
        if any(domain.suppressed and BERT in _concerned(domain.difference) for domain in decided.domains):
            return ", suppressed"
        if any(domain.contested for domain in decided.domains):
            return ", contested"
        return ", pending" * any(domain.difference.pending for domain in decided.domains)

    def _until(self) -> str:
        """What ends a hold. An approval always does."""
        approved, later = deepcopy(self.world), deepcopy(self.world)
        changes = approved.apply(approve=[hold.id for hold in approved.plan().holds]).changes
        assert changes.grants or changes.adoptions or changes.revocations
        later.repeat(hours=24)
        return "for a day" if later.apply().changes.revocations else "until approved"


def _concerned(difference: Difference) -> set[UserId]:
    """For whom something differs."""
    granted = {grant.user for grant in difference.missing}
    return granted | {item.access.user for item in difference.suspects} | {row.user for row in difference.denied}
