"""What does this process tell anybody? Its log at every level, and its reports of errors, as they would leave it."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO

import pytest
import structlog
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from controller.observability.logging import SILENT, configure_logging
from controller.observability.reports import REPORTS
from controller.settings import ReportSettings


class Ears(Transport):
    """Hears everything, and forgets what it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.log = StringIO()

    def capture_envelope(self, envelope: Envelope) -> None:
        """Hear of an error."""
        self.log.write(json.dumps(envelope.get_event(), default=str))

    def take(self) -> str:
        """What was told since this was asked last."""
        told = self.log.getvalue()
        self.log.seek(0)
        self.log.truncate()
        return told


@contextmanager
def listening() -> Iterator[Ears]:
    """Hear what the process tells while the body runs. The last net of the log is away: nothing may rely on it."""
    root, ears = logging.getLogger(), Ears()
    handlers, level = root.handlers[:], root.level
    with redirect_stderr(ears.log):
        configure_logging("json", "DEBUG")
    REPORTS.open(ReportSettings.model_validate({"sentry_dsn": "http://public@127.0.0.1:9/7"}), ears)
    try:
        with pytest.MonkeyPatch.context() as patching:
            patching.setattr("controller.observability.logging.mask_emails", str)
            yield ears
    finally:
        REPORTS.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        for name in SILENT:
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
