"""What is declared now? Complete lists when they are due, and what the watch tells between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.engine.listing import Entry, Listing, Target, read_entry, read_listing, status_of
from controller.engine.news import DEAF_AFTER, News
from controller.engine.world import Kind, World
from controller.planning.status import Status

RELIST = 600.0
"""Seconds after which everything is listed again, whatever events said."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What the watch has changed."""

    statuses: Mapping[Target, Status | None]
    """The status of each object that is new, and None for each that is gone."""
    sources: bool
    """Whether anything but MailDomains has changed: sources may have to be opened anew."""
    outdated: bool
    """Whether what is known of the database does not do for it."""


@dataclass(slots=True)
class Inventory:
    """What is declared, as far as it is known."""

    world: World
    news: News
    listing: Listing = field(default_factory=Listing)
    _heard: list[tuple[Entry, Status]] = field(default_factory=list)
    """What the watch has told since it was last asked for, with the statuses of then."""
    _relist: bool = True
    _listed_at: float = float("-inf")

    def notice(self) -> None:
        """Something has changed, nobody knows what: a list is due."""
        self._relist = True

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take what the watch tells of one object; return whether it was not known."""
        obj, gone = event["object"], event["type"] == "DELETED"
        if not gone and self.listing.knows(obj):
            return False
        if event["type"] is None:
            # It is part of a list: something has changed while the watch was away, and what is gone it does not tell.
            self.notice()
        else:
            self._heard.append((read_entry(obj, gone=gone), status_of(obj)))
        return True

    @property
    def pending(self) -> bool:
        """Whether something has changed that `listing` does not show yet."""
        return self._relist or bool(self._heard)

    def due(self, now: float) -> bool:
        """Whether to list. What the watch owes is looked for again before long."""
        return self._relist or now - self._listed_at >= (DEAF_AFTER if self.news.owed else RELIST)

    async def read(self, now: float, told: Mapping[Target, Status]) -> dict[Target, Status]:
        """List everything; return the status of each object, as `told` has it where that is the same.

        Raises `ClusterUnavailable` or `NotAuthorized`; then nothing has changed but that a list is due.
        """
        self._relist = False
        heard = len(self._heard)
        try:
            self.listing, statuses = await read_listing(self.world, told)
        except BaseException:
            self.give_up()
            raise
        # What was told before the list began is in it, or is gone.
        del self._heard[:heard]
        self.news.listed({entry.uid: entry.mark for entry in self.listing.entries.values()}, now)
        self._listed_at = now
        return statuses

    def give_up(self) -> None:
        """The API server can't be worked with: list again, and excuse the watch, which has as little to tell from."""
        self._relist = True
        self.news.excuse()

    def revise(self) -> Revision | None:
        """Take over what the watch has told; None when it has told nothing new. Of ten thousand one is read alone."""
        before, heard = self.listing, self._heard
        self._heard = []
        self.listing = before.revised(entry for entry, _ in heard)
        if self.listing is before:
            return None
        # An approval is weighed against the database as it is now: its hold may have expired since it was read.
        approving = any(entry.resource is not None and entry.resource.metadata.approved_hold for entry, _ in heard)
        reads_more = (before.names, before.windows) != (self.listing.names, self.listing.windows)
        return Revision(
            self._statuses(before, heard),
            sources=any(entry.kind is not Kind.DOMAIN for entry, _ in heard),
            outdated=approving or reads_more,
        )

    def _statuses(self, before: Listing, heard: list[tuple[Entry, Status]]) -> Mapping[Target, Status | None]:
        """Of an object that was known already we have told more than an event can know."""
        found: dict[Target, Status | None] = {}
        for entry, status in heard:
            known, now_known = before.entries.get(entry.target), self.listing.entries.get(entry.target)
            if now_known is None:
                found[entry.target] = None
            elif now_known is entry and (known is None or known.uid != entry.uid):
                found[entry.target] = status
        return found
