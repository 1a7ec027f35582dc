"""Are durations and amounts read as they are written, and nothing else?"""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from controller.resources.quantities import Amount, Duration, format_duration

DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
AMOUNT: TypeAdapter[Amount] = TypeAdapter(Amount)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("30s", 30), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h0m1s", 3601), ("720h", 2_592_000)],
)
def test_a_duration_is_hours_minutes_seconds(text: str, seconds: int) -> None:
    assert DURATION.validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "10", "1.5h", "-1m", "1d", "1m1h", "1h ", "1H", "ten", "PT1H", 10, 1.5, None, True, []]
)
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(ValidationError, match="write a duration of hours, minutes and seconds, such as 1h30m or 30s"):
        DURATION.validate_python(value)


@given(st.integers(0, 90_000_000))
def test_a_duration_reads_as_it_was_written(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert DURATION.validate_python(format_duration(duration)) == duration
    assert DURATION.dump_python(duration) == format_duration(duration)


@pytest.mark.parametrize(("value", "shown"), [("25%", "25%"), ("0%", "0%"), ("100%", "100%"), (0, "0"), (3, "3")])
def test_an_amount_is_a_share_or_a_count(value: object, shown: str) -> None:
    assert str(AMOUNT.validate_python(value)) == shown
    assert AMOUNT.dump_python(AMOUNT.validate_python(value)) == value


@pytest.mark.parametrize("value", ["", "%", "101%", "-1%", "1.5%", "25", "25 %", -1, 1.5, True, None, [], {}])
def test_anything_else_is_no_amount(value: object) -> None:
    with pytest.raises(ValidationError, match="write a share from 0% to 100% or a whole number"):
        AMOUNT.validate_python(value)


@pytest.mark.parametrize(
    ("amount", "rows", "floor", "allowed"),
    [
        (Amount(50, percent=True), 10, 1, 5),
        (Amount(50, percent=True), 3, 1, 1),
        (Amount(50, percent=True), 1, 1, 1),
        (Amount(25, percent=True), 8, 10, 10),
        (Amount(25, percent=True), 100, 10, 25),
        (Amount(0, percent=True), 100, 10, 0),
        (Amount(100, percent=True), 7, 1, 7),
        (Amount(0, percent=False), 100, 10, 0),
        (Amount(3, percent=False), 1, 10, 3),
    ],
)
def test_what_a_limit_allows(amount: Amount, rows: int, floor: int, allowed: int) -> None:
    assert amount.of(rows, floor=floor) == allowed
