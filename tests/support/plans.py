"""Which outcomes are shown in tests? Those of a small planning world, as the engine would return them."""

from controller.engine.once import Applied, Outcome, SourceReport
from controller.planning.health import examine, holders
from controller.planning.plan import plan
from tests.support.planning import PlanningWorld


def planned(world: PlanningWorld, *, applied: bool = False, **options: object) -> Outcome:
    """What `plan` finds in this world now, or with `applied` what `apply` does."""
    question = world.question(**options)
    decided = plan(question)
    held = holders(question.standings, question.snapshot)
    sources = tuple(
        SourceReport(
            key,
            examine(state, state.answers.values(), held.get(key, ()), question.snapshot, now=question.now),
            requests=len(state.answers),
        )
        for key, state in question.sources.items()
    )
    changes = decided.changes
    written = Applied(len(changes.grants), len(changes.revocations), len(changes.adoptions)) if applied else None
    return Outcome(decided, question, sources, written)
