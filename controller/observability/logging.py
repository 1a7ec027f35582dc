"""How does the process write its log? One line a record on stderr, json or text, and never personal data.

What other libraries log about their traffic is silenced by name, because they put e-mails, keys and bodies into it
(invariant 10): httpx and httpcore log URLs at INFO, kopf and the Kubernetes client bodies at DEBUG, SQLAlchemy
parameters. Of an exception its type and its places are shown, and its text only when it is one of ours. What is left
passes a last net that masks whatever looks like an e-mail.
"""

import logging
import sys
from contextlib import suppress
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from controller.observability.privacy import mask_emails, traceback_of
from controller.observability.reports import REPORTS

SILENT = ("httpx", "httpcore")
"""Never heard at any level."""

QUIET = ("kopf.objects", "kubernetes", "client", "sqlalchemy", "alembic", "psycopg", "aiohttp", "urllib3", "asyncio")
"""Heard from WARNING on."""

TOLD_BY_US = ("kubernetes.aio.config",)
"""Heard from ERROR on: what it warns of ends in an error of ours, which names the remedy as well."""


def configure_logging(log_format: Literal["json", "text"], level: str) -> None:
    """Send every record of the process to stderr in this format, from this level on. May be called again."""
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_without_its_text, *_common()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _silence(logging.getLevelName(level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class _Handler(logging.StreamHandler[TextIO]):
    """A handler that keeps to itself what it could not log. Its base shows the record, whatever is in it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # named by its base
        """Say where that was, and nothing of what it was."""
        with suppress(OSError, ValueError):
            sys.stderr.write(f"a record of {record.name} ({record.filename}:{record.lineno}) can't be logged\n")


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        REPORTS.heed,
        structlog.processors.ExceptionRenderer(lambda raised: traceback_of(raised[1])),
    ]


def _without_its_text(_logger: object, _method: str, record: EventDict) -> EventDict:
    """What other libraries log with an exception: the first line, without what the exception says."""
    raised = record.get("exc_info")
    if raised:
        message, error = str(record["event"]).partition("\n")[0], raised[1]
        for text in (repr(error), str(error)):
            message = message.replace(text, "...") if text else message
        record["event"] = message
    return record


def _rendering(log_format: Literal["json", "text"]) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(), _masked]
    return [structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0), _masked]


def _masked(_logger: object, _method: str, line: str | bytes | EventDict) -> str:
    """The last net, over the whole line: the event, its keys, and the text of an exception."""
    return mask_emails(str(line))


def _silence(level: int) -> None:
    for name in SILENT:
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in TOLD_BY_US:
        logging.getLogger(name).setLevel(max(level, logging.ERROR))
    logging.getLogger("kopf").setLevel(max(level, logging.INFO))
