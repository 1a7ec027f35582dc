"""What becomes of each revocation? Cases open when a row is suspect, are confirmed, and close when the row is right."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from controller.planning.difference import Difference, Suspect
from controller.planning.facts import Access, AccessId, Case, CaseState
from controller.resources.names import ResourceKey


@dataclass(frozen=True, slots=True)
class OpenCase:
    """An open case with what is known of its row now."""

    case: Case
    resource: ResourceKey
    """The MailDomain that it belongs to."""
    access: Access
    suspect: Suspect | None
    """The fresh proof, or None when a source is silent at the moment: such a case counts but can't be executed."""

    @property
    def confirmed(self) -> bool:
        """Whether the removal was confirmed by a second ask, now or before (a person's approval included)."""
        known = self.case.state in (CaseState.CONFIRMED, CaseState.APPROVED)
        return known or (self.suspect is not None and self.suspect.confirmed)

    @property
    def executable(self) -> bool:
        """Whether nothing but a limit stands against it."""
        return self.suspect is not None and self.confirmed


@dataclass(frozen=True, slots=True)
class Docket:
    """The cases of one domain after its rows were compared."""

    open: tuple[OpenCase, ...] = ()
    closed: tuple[Case, ...] = ()


def update_docket(
    resource: ResourceKey,
    difference: Difference,
    known: Iterable[Case],
    *,
    enforced: bool,
    now: datetime,
) -> Docket:
    """Open, keep and close the cases of one domain.

    `enforced` is False when the mode allows no revocation: then nothing opens and everything closes.
    A case whose row is gone, right, or no longer ours closes; one whose source is silent stays as it is.
    """
    cases = {case.access: case for case in known}
    if not enforced:
        return Docket(closed=tuple(close(case) for case in cases.values()))
    rows = {row.id: row for row in difference.admins}
    suspects = {suspect.access.id: suspect for suspect in difference.suspects}
    denied = {row.id for row in difference.denied}
    gone = [case for row, case in cases.items() if row not in rows or row in difference.settled or row in denied]
    standing = {row: case for row, case in cases.items() if case not in gone}
    standing |= {row: open_case(suspect, now) for row, suspect in suspects.items() if row not in standing}
    return Docket(
        tuple(_opened(resource, rows[row], case, suspects.get(row)) for row, case in sorted(standing.items())),
        tuple(close(case) for case in gone),
    )


def open_case(suspect: Suspect, now: datetime) -> Case:
    """A new case; its id follows from the row and the moment, so that planning stays deterministic."""
    digest = hashlib.sha256(f"{suspect.access.id}|{now.isoformat()}".encode()).hexdigest()[:32]
    row = suspect.access
    return Case(digest, row.id, row.domain, row.user, CaseState.SUSPECTED, now, evidence=suspect.evidence)


def close(case: Case) -> Case:
    """The case ended without a removal."""
    return replace(case, state=CaseState.CLOSED, hold=None)


def _opened(resource: ResourceKey, row: Access, case: Case, suspect: Suspect | None) -> OpenCase:
    opened = OpenCase(case, resource, row, suspect)
    if case.state is CaseState.SUSPECTED and opened.confirmed and suspect is not None:
        confirmed = replace(case, state=CaseState.CONFIRMED, evidence=suspect.evidence)
        return replace(opened, case=confirmed)
    return opened


def changed(cases: Iterable[Case], before: Mapping[AccessId, Case]) -> tuple[Case, ...]:
    """Those cases that differ from what is recorded: only they are written (invariant 4)."""
    return tuple(case for case in cases if before.get(case.access) != case)
