"""What came of each fault? The rows of docs/faults.md, compared with what a test run has seen, or written by it."""

from dataclasses import astuple, dataclass
from enum import StrEnum

from tests.support.tables import Table


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


COLUMNS = ("Fault", "Process", "Rows meanwhile", "Told meanwhile (source; domain)", "Afterwards")
TABLE = Table("faults.md", COLUMNS, Fault, target="faults")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen."""

    process: str
    rows: str
    told: str
    afterwards: str


def compare(fault: Fault, seen: Outcome) -> None:
    """Hold one row of the page to what was seen, or write it."""
    TABLE.hold(fault, astuple(seen))
