"""Is the service well enough to be asked? A circuit that its own failures open and one good answer closes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.planning.facts import UserId

OPENS_AFTER = 10
"""Different users whose asks failed with no good answer in between. A lone 500 is one user's (DESIGN section 1)."""
OPEN_FOR = 15.0
"""Seconds until the first probe; doubled by each probe that fails."""
OPEN_AT_MOST = 300.0
"""Seconds."""


@dataclass(slots=True)
class Breaker:
    """Closed, open, or half open while one probe is under way. Times are seconds of `clock`."""

    clock: Callable[[], float]
    random: Callable[[], float]
    """Uniform in `0..1`."""
    _failing: set[UserId] = field(default_factory=set)
    _until: float | None = None
    _openings: int = 0
    _probing: bool = False

    @property
    def failing(self) -> int:
        """Different users whose asks failed since the last good answer, counted up to `OPENS_AFTER`."""
        return len(self._failing)

    @property
    def closed(self) -> bool:
        """Whether calls may go freely."""
        return self._until is None

    @property
    def refuses(self) -> bool:
        """Whether no call may go now, not even a probe."""
        return self._until is not None and self.clock() < self._until

    @property
    def probing(self) -> bool:
        """Whether a probe is under way."""
        return self._probing

    def begin(self) -> bool:
        """Start a call that is not refused; return whether it is the probe."""
        self._probing = not self.closed
        return self._probing

    def succeed(self) -> None:
        """Note that the service answered: it is well."""
        self._failing.clear()
        self._until = None
        self._openings = 0
        self._probing = False

    def fail(self, user: UserId, *, probe: bool) -> None:
        """Note that an ask about this user failed. Failures of calls from before it opened do not keep it open."""
        if len(self._failing) < OPENS_AFTER:
            self._failing.add(user)
        if probe or (self.closed and len(self._failing) >= OPENS_AFTER):
            self._open()

    def abandon(self) -> None:
        """The probe came to nothing: another one may go."""
        self._probing = False

    def _open(self) -> None:
        longest = min(OPEN_AT_MOST, OPEN_FOR * 2.0 ** min(self._openings, 16))
        self._until = self.clock() + longest * (1 + self.random()) / 2
        self._openings += 1
        self._probing = False
