"""Does a page say what the tests have seen? Tables in docs/ whose rows are compared with a run, or written by it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.support.operator import ROOT

WRITE = "MDC_WRITE_TABLES"
"""Set to 1, tables are written instead of compared."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: a row for each name, in the order of the names."""

    page: str
    """Its file in docs/."""
    columns: tuple[str, ...]
    names: type[StrEnum]
    target: str
    """The target of the Makefile that writes it."""

    @property
    def path(self) -> Path:
        """Where it stands."""
        return ROOT / "docs" / self.page

    def hold(self, name: StrEnum, seen: Sequence[str]) -> None:
        """Hold one row of the page to what was seen, or write it."""
        row = f"| {' | '.join((name, *seen))} |"
        lines = self.path.read_text(encoding="utf-8").splitlines()
        if os.environ.get(WRITE) == "1":
            self._write(lines, row)
        else:
            assert row in lines, f"docs/{self.page} says something else; `make {self.target}` writes it:\n{row}"

    def told(self) -> list[str]:
        """The names that the page tells of, in its order."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [line.split(" | ")[0].removeprefix("| ") for line in lines[self._start(lines) :] if line[:2] == "| "]

    def _start(self, lines: list[str]) -> int:
        head = f"| {' | '.join(self.columns)} |"
        return lines.index(head) + 2

    def _write(self, lines: list[str], row: str) -> None:
        start = self._start(lines)
        rest = [line for line in lines[start:] if not line.startswith("| ")]
        rows = {line.split(" | ")[0]: line for line in [*lines[start:], row] if line.startswith("| ")}
        ordered = [rows[f"| {name}"] for name in self.names if f"| {name}" in rows]
        self.path.write_text("\n".join([*lines[:start], *ordered, *rest]) + "\n", encoding="utf-8")
