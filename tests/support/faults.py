"""What came of each fault? The rows of docs/faults.md, compared with what a test run has seen, or written by it."""

import os
from dataclasses import astuple, dataclass
from enum import StrEnum

from tests.support.operator import ROOT

PAGE = ROOT / "docs" / "faults.md"
WRITE = "MDC_WRITE_FAULTS"
"""Set to 1, the page is written instead of compared."""
HEAD = ("| Fault | Process | Rows meanwhile | Told meanwhile (source; domain) | Afterwards |", "|---|---|---|---|---|")


class Fault(StrEnum):
    """Every fault that is shown, in the order of the page."""

    CENTER_SLOW = "DeployCenter answers nobody in time"
    CENTER_CUT = "DeployCenter cuts each connection"
    CENTER_TRUNCATED = "DeployCenter cuts each answer within its body"
    CENTER_HTML = "a login page answers for DeployCenter"
    CENTER_REDIRECT = "DeployCenter redirects"
    CENTER_HUGE = "DeployCenter answers with bodies of 8 MiB"
    CENTER_UNAUTHENTICATED = "DeployCenter refuses the key (401)"
    CENTER_ONE_USER = "DeployCenter answers 500 about one user"
    SECRET_GONE = "the Secret of the API key is deleted"
    API_RESTARTED = "the API server is restarted"
    API_CUT = "all connections to the API server are cut"
    API_HUSHED = "open connections to the API server carry nothing any more"
    API_EXPIRED = "watches end with 410 Gone"
    API_THROTTLED = "the API server answers 429 to everything"
    API_ERRORS = "the API server answers 500 to everything"
    API_DEAF = "watches stay open and tell nothing, new ones too"
    DATABASE_CUT = "all connections to PostgreSQL are cut"
    DATABASE_RESTARTED = "PostgreSQL is restarted in the middle of a transaction"
    COMMIT_LOST = "the connection is cut before PostgreSQL gets the COMMIT"
    COMMIT_UNANSWERED = "the connection is cut after PostgreSQL has carried out the COMMIT"
    DATABASE_AWAY = "PostgreSQL is away"
    DATABASE_SILENT = "connections to PostgreSQL carry nothing any more"
    SERIALIZATION = "PostgreSQL ends each write with a serialization failure (40001)"
    DISK_FULL = "the disk of PostgreSQL is full (53100)"
    READ_ONLY = "PostgreSQL lets us read only, as after a failover (25006)"
    CLOCK_AHEAD = "the clock of the process jumps a day ahead"
    CLOCK_BACK = "the clock of the process jumps a day back"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen."""

    process: str
    rows: str
    told: str
    afterwards: str


def compare(fault: Fault, seen: Outcome) -> None:
    """Hold one row of the page to what was seen, or write it."""
    row = f"| {' | '.join((fault, *astuple(seen)))} |"
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    if os.environ.get(WRITE) == "1":
        _write(lines, row)
    else:
        assert row in lines, f"docs/faults.md says something else; `make faults` writes it:\n{row}"


def faults_of(lines: list[str]) -> list[str]:
    """The faults that the page tells of, in its order."""
    start = lines.index(HEAD[1]) + 1
    return [line.split(" | ")[0].removeprefix("| ") for line in lines[start:] if line.startswith("| ")]


def _write(lines: list[str], row: str) -> None:
    start = lines.index(HEAD[1]) + 1
    rest = [line for line in lines[start:] if not line.startswith("| ")]
    rows = {line.split(" | ")[0]: line for line in [*lines[start:], row] if line.startswith("| ")}
    ordered = [rows[f"| {fault}"] for fault in Fault if f"| {fault}" in rows]
    PAGE.write_text("\n".join([*lines[:start], *ordered, *rest]) + "\n", encoding="utf-8")
