"""How are durations and amounts written in a resource?"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

DURATION_PATTERN = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$"
_DURATION = re.compile(r"(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s)?")
_PERCENT = re.compile(r"(100|[0-9]{1,2})%")


def parse_duration(value: Any) -> Any:
    """Read a Go duration of hours, minutes and seconds (`1h30m`, `0s`) into a `timedelta`."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not value:
        raise PydanticCustomError("duration", "write a duration of hours, minutes and seconds, such as 1h30m or 30s")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Write a whole number of seconds as a Go duration, without parts that are zero."""
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]


@dataclass(frozen=True, slots=True)
class Amount:
    """How many of some rows: a share of them (`25%`) or a plain count (`3`)."""

    value: int
    percent: bool

    def of(self, rows: int, *, floor: int) -> int:
        """How many of `rows` it allows: `max(floor, floor(p x rows))`; 0% is 0, a plain number is itself."""
        if not self.percent:
            return self.value
        return max(floor, self.value * rows // 100) if self.value else 0

    def __str__(self) -> str:
        return f"{self.value}%" if self.percent else str(self.value)

    @classmethod
    def parse(cls, value: Any) -> "Amount":
        """Read `25%` or `3`. Raises a validation error for anything else, a negative or a boolean included."""
        if isinstance(value, Amount):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value, percent=False)
        if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
            return cls(int(match[1]), percent=True)
        raise PydanticCustomError("amount", "write a share from 0% to 100% or a whole number")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def written(amount: "Amount") -> str | int:
            return str(amount) if amount.percent else amount.value

        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(written)
        )
