"""How often may somebody call?"""

import pytest

from controller.provisioning.authentication import Caller
from controller.provisioning.rates import Rates
from controller.provisioning.refusals import Refused

A, B = Caller("a"), Caller("b")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_and_fills() -> None:
    clock = Clock()
    rates = Rates(2, 4, clock)

    for _ in range(4):
        rates.charge(A)
    with pytest.raises(Refused) as refused:
        rates.charge(A)
    assert refused.value.status == 429
    assert refused.value.response.headers["retry-after"] == "1"
    clock.now += 0.5
    rates.charge(A)
    clock.now += 100
    rates.charge(A, 4)


def test_what_is_refused_costs_nothing_and_says_when_it_would_pass() -> None:
    clock = Clock()
    rates = Rates(1, 10, clock)
    rates.charge(A, 8)

    for _ in range(100):
        with pytest.raises(Refused) as refused:
            rates.charge(A, 7)
    assert refused.value.response.headers["retry-after"] == "5"
    clock.now += 5
    rates.charge(A, 7)


def test_nobody_pays_for_anybody_else() -> None:
    rates = Rates(1, 1, Clock())
    rates.charge(A)
    rates.charge(B)
    rates.charge(None)

    with pytest.raises(Refused):
        rates.charge(None)
