"""How often does Python look for cycles? Seldom: a pass makes hundreds of thousands of small values without any."""

import gc


def relax_collector() -> None:
    """Let a snapshot and a plan be made without full collections in between, which take longer than both.

    Called once by the process. Everything that a pass makes is freed by reference counts as soon as the next replaces
    it, so memory does not grow (measured in `bench`): the threshold is more than a pass makes at full scale.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700_000, 20, 50)
