"""How does the process write its log? One line a record on stderr, json or text, and never personal data.

What other libraries log about their traffic is silenced by name, because they put e-mails, keys and bodies into it
(invariant 10): httpx and httpcore log URLs at INFO, kopf and the Kubernetes client bodies at DEBUG, SQLAlchemy
parameters. What is left passes a last net that masks whatever looks like an e-mail.
"""

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor

SILENT = ("httpx", "httpcore")
"""Never heard at any level."""

QUIET = ("kopf.objects", "kubernetes", "client", "sqlalchemy", "alembic", "psycopg", "aiohttp", "urllib3", "asyncio")
"""Heard from WARNING on."""

_EMAIL = re.compile(
    r"""[^\s@"'`<>(){}\[\],;:=&?/\\|]+      # a local part, up to what delimits it
        (?:@|%40)
        (?=[^\s@"'`<>(){}\[\],;:=&?/\\|])   # followed by a host, which stays: it is no personal data
    """,
    re.VERBOSE,
)


def configure_logging(log_format: Literal["json", "text"], level: str) -> None:
    """Send every record of the process to stderr in this format, from this level on. May be called again."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common(),
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


def mask_emails(text: str) -> str:
    """Mask the local part of everything that looks like an e-mail, percent-encoded ones included."""
    return _EMAIL.sub("***@", text)


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


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
    logging.getLogger("kopf").setLevel(max(level, logging.INFO))
