"""What do readers of the rows see otherwise afterwards? How many are let in, and how many are not any more."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from controller.permissions.rows import RowChanges, StandingRows


@dataclass(frozen=True, slots=True)
class Effect:
    """How many people may open one service who could not before, and how many may no more."""

    gains: int = 0
    loses: int = 0


def effects(changes: RowChanges, standing: StandingRows) -> Mapping[str, Effect]:
    """Compare by service, as `effective_services` shows it: without a row it is no, and what is only audited is yes."""
    gains, losses = Counter[str](), Counter[str]()
    for key, said in changes.said.items():
        before = standing.said.get(key)
        was_open = before is not None and before.served
        gains[key.service] += said.served and not was_open
        losses[key.service] += was_open and not said.served
    losses.update(key.service for key in changes.gone if standing.said[key].served)
    return {name: Effect(gains[name], losses[name]) for name in gains.keys() | losses.keys()}
