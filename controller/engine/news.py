"""What does the watch tell? Whether an event is news, and whether the watch tells everything that lists show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

DEAF_AFTER = 180.0
"""Seconds between two lists that show what the watch has not told, after which it is deaf.

A connection that says nothing is replaced by kopf after 70 s, and an API server that was away is tried again for a
minute: this is longer than both.
"""

Mark = tuple[int, int]
"""What is news about an object: its generation, and its annotations."""


def mark_of(metadata: Mapping[str, Any]) -> Mark:
    """Our own status patches come back as events too; they change neither part."""
    return metadata.get("generation", 0), hash(frozenset(metadata.get("annotations", {}).items()))


class Tells(Enum):
    """What an event tells."""

    NOTHING = auto()
    CHANGE = auto()
    """Of a new or changed declaration, an annotation, or a deletion."""
    GAP = auto()
    """That the watch has begun anew: what was deleted meanwhile it does not tell, only a list does."""


@dataclass(slots=True)
class News:
    """What the watch has told, compared with what lists show.

    A deletion that the watch misses is no proof: kopf does not tell of what was deleted before it lists anew.
    """

    deaf: bool = False
    """Whether the watch has kept silent about what two lists have shown."""
    _told: dict[str, Mark] = field(default_factory=dict)
    _untold: dict[str, float] = field(default_factory=dict)
    """Since when lists show an object otherwise than the watch has told, by uid."""

    @property
    def owed(self) -> bool:
        """Whether a list has shown something that the watch has not told yet."""
        return bool(self._untold)

    def takes(self, event: Mapping[str, Any]) -> Tells:
        """Take an event of the watch into account; say what it tells."""
        metadata = event["object"]["metadata"]
        uid = metadata["uid"]
        # Whatever it tells about an object: the rest comes behind it.
        self._untold.pop(uid, None)
        if event["type"] == "DELETED":
            self._told.pop(uid, None)
            return Tells.CHANGE
        mark = mark_of(metadata)
        before, self._told[uid] = self._told.get(uid), mark
        # Without a type it is part of a list: the first one of the watch, or the one after a gap.
        if event["type"] is None and before is not None:
            return Tells.GAP
        return Tells.CHANGE if mark != before else Tells.NOTHING

    def listed(self, marks: Mapping[str, Mark], now: float) -> None:
        """Take complete lists of all kinds into account, by uid."""
        untold = {uid: self._untold.get(uid, now) for uid, mark in marks.items() if self._told.get(uid) != mark}
        self.deaf = self.deaf or any(now - since >= DEAF_AFTER for since in untold.values())
        self._untold = untold

    def excuse(self) -> None:
        """A list has failed: the watch had as little to tell from."""
        self._untold.clear()
