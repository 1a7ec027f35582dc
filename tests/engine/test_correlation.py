"""Can what is logged of one removal be put together, from the wave that found it to the lines of the journal?"""

from collections.abc import Iterator

import pytest
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars
from structlog.typing import EventDict

from controller.planning.facts import AnswerReason, Subject, Unavailable, Verdict
from tests.support.database import MailWorld
from tests.support.operating import Operating, town

pytestmark = pytest.mark.parametrize("dialect", ["sqlite"])


@pytest.fixture
def records() -> Iterator[list[EventDict]]:
    """What is logged, with what is bound around it."""
    clear_contextvars()
    with structlog.testing.capture_logs(processors=[merge_contextvars]) as found:
        yield found


def of(records: list[EventDict], event: str) -> list[EventDict]:
    return [record for record in records if record["event"] == event]


async def test_a_removal_is_followed_from_its_wave_to_its_transaction_and_the_journal(
    operating: Operating, world: MailWorld, records: list[EventDict]
) -> None:
    await town(operating, world, 3)
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    records.clear()
    await operating.wave()

    [wave] = of(records, "wave_finished")
    [removal] = [record for record in of(records, "written") if record["revocations"]]
    assert wave["waves"] == removal["waves"] == [f"default/deploycenter#{removal['epoch']}.{operating.desk.number}"]
    assert (wave["epoch"], wave["turn"]) == (removal["epoch"], removal["turn"])
    assert removal["turn"].startswith(f"{removal['epoch']}.")
    [line] = [line for line in operating.database.journal(limit=10) if line.what == "revoked"]
    assert line.at.isoformat() == removal["at"]


async def test_passes_and_terms_are_told_apart(
    operating: Operating, world: MailWorld, records: list[EventDict]
) -> None:
    await town(operating, world, 1)
    for _ in range(2):
        await operating.wave()
    operating.database.give_back(operating.database.seize())
    await operating.restart()
    await operating.settle()
    await operating.wave()

    turns = {record["turn"] for record in of(records, "wave_finished")}
    waves = {wave for record in of(records, "wave_finished") for wave in record["waves"]}
    assert len(turns) == len(waves) == len(of(records, "wave_finished"))


async def test_who_asks_names_the_wave(operating: Operating, world: MailWorld, records: list[EventDict]) -> None:
    def refuse(_: Subject) -> Verdict:
        return Unavailable(AnswerReason.CIRCUIT_OPEN)

    await town(operating, world, 1)
    operating.source.instead = refuse
    await operating.settle(operating.desk.interval)

    [refused] = of(records, "source_refused")
    epoch = operating.database.snapshot((), ()).epoch
    assert refused["wave"] == f"default/deploycenter#{epoch}.{operating.desk.number}"


async def test_nothing_stays_bound_outside(operating: Operating, records: list[EventDict]) -> None:
    bind_contextvars(outside="here")
    await operating.settle()

    assert structlog.contextvars.get_contextvars() == {"outside": "here"}
