"""What did a measurement find? One row of the table that every bench prints."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its baseline of the same run. `ratio` and `target` are None where nothing is promised."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    target: str | None = None
    """As people read it: `>= 0.9`."""
    passed: bool = True


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows as a table for people."""
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
        verdict = "" if row.target is None else ("ok" if row.passed else "MISSED")
        print(f"{row.name:<52} {row.value:>12,.1f} {row.unit:<12} {ratio:>9} {row.target or '':>9} {verdict}")
