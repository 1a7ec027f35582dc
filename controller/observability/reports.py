"""Who is told of errors that nobody foresaw, and of failures that last? Sentry, where there is a DSN; otherwise nobody.

What is logged as an error is reported, and nothing else is: exceptions by their type and their places, once for each
place, and failures that last, which are logged once each. A report is built from what may be said and holds nothing
else: no variables, no request, no user, no text of an exception that is not ours.
"""

import linecache
import sys
import traceback
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from structlog.typing import EventDict, WrappedLogger

from controller.errors import InvalidInput, Problem
from controller.observability.privacy import lineage, mask_emails, text_of
from controller.settings import ReportSettings

if TYPE_CHECKING:
    from sentry_sdk import Client
    from sentry_sdk.transport import Transport
    from sentry_sdk.types import Event

PLACES = 1000
"""Places of which the exceptions are reported; a process with more of them has been told of long ago."""
FRAMES = 50
"""Innermost frames of an exception that are told."""
PATIENCE = 3.0
"""Seconds at the end of the process for reports that are on their way."""

_TAGS = frozenset({"epoch", "turn", "waves", "source", "what", "error", "reason", "path"})
"""What of a record goes into its report: names of things, and what joins it to other records."""


class Reports:
    """The reports of one process."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._told: set[tuple[str, ...]] = set()

    def open(self, settings: ReportSettings, transport: "Transport | None" = None) -> None:
        """Report from now on, if there is a DSN. Raises `InvalidInput` when it is none."""
        dsn = settings.sentry_dsn.get_secret_value() if settings.sentry_dsn is not None else ""
        if not dsn:
            return
        from sentry_sdk import Client  # noqa: PLC0415  # slow, and most processes report to nobody
        from sentry_sdk.utils import BadDsn  # noqa: PLC0415

        try:
            self._client = Client(
                dsn=dsn,
                environment=settings.sentry_environment,
                release=settings.sentry_release or f"maildomain-controller@{version('maildomain-controller')}",
                transport=transport,
                # What looks around by itself finds what may not leave.
                default_integrations=False,
                auto_enabling_integrations=False,
                auto_session_tracking=False,
                enable_backpressure_handling=False,
                send_client_reports=False,
                spotlight=False,
                server_name="",
            )
        except BadDsn:
            remedy = "copy the DSN of the project, or leave it out"
            raise InvalidInput(Problem("environment", "SENTRY_DSN", "is no DSN", remedy)) from None

    def close(self) -> None:
        """Send what is on its way, within reason, and report no more."""
        if self._client is not None:
            self._client.close(timeout=PATIENCE)
            self._client = None
            self._told.clear()

    def heed(self, _logger: WrappedLogger, method: str, record: EventDict) -> EventDict:
        """Report a record if it is an error: a processor of structlog, which passes every record on as it is."""
        if self._client is not None and method in ("error", "exception", "critical"):
            # A report that can't be made must not become the next error.
            with suppress(Exception):
                self._report(self._client, record)
        return record

    def _report(self, client: "Client", record: EventDict) -> None:
        error = _exception(record)
        foreign = not record.get("_from_structlog", True)
        if error is None and foreign:
            # Nothing would be left of it: its text may hold anything.
            return
        logger = str(record.get("logger", ""))
        message = logger if foreign else str(record["event"])
        if error is not None:
            place = (message, *(f"{type(one).__qualname__} {_place(one)}" for one in lineage(error)))
            if place in self._told or len(self._told) >= PLACES:
                return
            self._told.add(place)
        client.capture_event(_event(message, logger, record, error))


REPORTS = Reports()
"""Those of this process."""


def _event(message: str, logger: str, record: EventDict, error: BaseException | None) -> "Event":
    event: Event = {
        "level": "error",
        "logger": logger,
        "message": message,
        "tags": {name: mask_emails(str(value)) for name, value in record.items() if name in _TAGS},
    }
    if error is not None:
        event["exception"] = {"values": [_told(one) for one in lineage(error)]}
    return event


def _told(error: BaseException) -> dict[str, Any]:
    frames = [
        {
            "module": frame.f_globals.get("__name__", ""),
            "function": frame.f_code.co_qualname,
            "lineno": line,
            "context_line": mask_emails(linecache.getline(frame.f_code.co_filename, line).strip()),
            "in_app": str(frame.f_globals.get("__name__", "")).startswith("controller."),
        }
        for frame, line in list(traceback.walk_tb(error.__traceback__))[-FRAMES:]
    ]
    kind = type(error)
    told = {"type": kind.__qualname__, "module": kind.__module__, "value": text_of(error) or ""}
    return {**told, "stacktrace": {"frames": frames}} if frames else told


def _place(error: BaseException) -> str:
    innermost = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{innermost[0].filename}:{innermost[0].lineno}" if innermost else ""


def _exception(record: EventDict) -> BaseException | None:
    """The exception of a record, in whichever way it was given."""
    given = record.get("exc_info")
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return cast("BaseException | None", given[1])
    return sys.exc_info()[1] if given else None
