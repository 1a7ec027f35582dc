"""What has failed for so long that somebody should be told? Each failure once, as an error, until it is over."""

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

LASTING = 60.0
"""Seconds without success after which a failure lasts. A restart of what we need is nobody's business."""


class LastingFailures:
    """What fails at present, by name, and since when. Names are those of things: a source, the mail database."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._told: set[str] = set()

    def failed(self, what: str, why: str) -> None:
        """It has failed, once more or for the first time. What lasts is logged as an error, which is reported."""
        now = self._clock()
        seconds = now - self._since.setdefault(what, now)
        if seconds >= LASTING and what not in self._told:
            self._told.add(what)
            log.error("failure_lasts", what=what, error=why, seconds=round(seconds))

    def worked(self, what: str) -> None:
        """It works: when it fails again, that is another failure."""
        self._since.pop(what, None)
        if what in self._told:
            self._told.discard(what)
            log.info("failure_over", what=what)
