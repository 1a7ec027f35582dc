"""Is this the database that we knew? One that was restored from an older dump lacks what the statuses tell of."""

from collections.abc import Collection, Iterable
from typing import Any

from controller.planning.facts import Snapshot
from controller.planning.status import Status

RESTORED = "the database is older than the status of a source: restored from a dump?"
"""What the freeze says for people."""


def is_behind(snapshot: Snapshot, ours: Collection[int], statuses: Iterable[Status]) -> bool:
    """Tell whether somebody has worked on a later database than this one.

    `statuses` are those of the sources: they tell of the epoch, and of the newest entry of the journal. The epoch was
    raised for this term, and `ours` are those under which this very process has worked: a term that is taken up again
    keeps its epoch, any other one raises what it finds. Within one term the journal alone tells.
    """
    told = tuple(statuses)
    epoch, journal = (max((_number(status.get(name)) for status in told), default=0) for name in ("epoch", "journal"))
    if epoch > snapshot.epoch or journal > snapshot.journal:
        return True
    return epoch == snapshot.epoch and epoch not in ours


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
