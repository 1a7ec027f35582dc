"""Is this the database that we knew? One that was restored from an older dump has an epoch that lies behind."""

from collections.abc import Collection, Iterable
from typing import Any

from controller.planning.status import Status

RESTORED = "the database is older than the status of a source: restored from a dump?"
"""What the freeze says for people."""


def is_behind(epoch: int, ours: Collection[int], statuses: Iterable[Status]) -> bool:
    """Tell whether somebody has worked on a later database than this one, whose epoch was raised for this term.

    `statuses` are those of the sources, and `ours` the epochs under which this very process has worked: a term that is
    taken up again keeps its epoch, any other one raises what it finds.
    """
    noted = max((_epoch(status.get("epoch")) for status in statuses), default=0)
    return noted > epoch or (noted == epoch and epoch not in ours)


def _epoch(value: Any) -> int:
    return value if isinstance(value, int) else 0
