"""How often may somebody call? One token bucket for each key, and one for all who have none."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.provisioning.authentication import Caller
from controller.provisioning.refusals import Refused


@dataclass(slots=True)
class Rates:
    """Buckets of `burst` units that fill by `per_second`; a request costs one unit, or as many as it says."""

    per_second: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[Caller | None, tuple[float, float]] = field(default_factory=dict)
    """What is left, and when that was. There are as many as there are keys."""

    def charge(self, caller: Caller | None, units: float = 1.0) -> None:
        """Take units from the bucket of a caller; None is everybody without a key. Raises `Refused` when it is short.

        A refusal takes nothing, and says after how many seconds the same request would pass.
        """
        now = self.clock()
        left, at = self._buckets.get(caller, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.per_second)
        if left < units:
            seconds = math.ceil((units - left) / self.per_second)
            raise Refused(429, "Too many requests.", Retry_After=str(seconds))
        self._buckets[caller] = (left - units, now)
