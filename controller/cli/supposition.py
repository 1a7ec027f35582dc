"""What does `--what-if` suppose? That the sources say nothing at all, `[]` about everybody, or what a file says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from controller.cli.inputs import read_declarations
from controller.errors import InvalidInput, Problem
from controller.planning.facts import AnswerReason, Unavailable, Verdict
from controller.planning.supposing import NOTHING
from controller.resources.documents import Declarations
from controller.resources.maildomain import Mode

SAID: Mapping[str, Verdict] = {"empty": NOTHING, "down": Unavailable(AnswerReason.CONNECTION)}
_TOLD: Mapping[Verdict, str] = {SAID["empty"]: "all sources say [] about everybody", SAID["down"]: "no source answers"}
FROM_FILE = "source="


@dataclass(frozen=True, slots=True)
class Supposition:
    """Either what all sources say about everybody, or the files whose sources stand in for those of the same name."""

    said: Verdict | None = None
    path: str = ""

    @property
    def told(self) -> str:
        """What is supposed, as people read it."""
        if self.said is None:
            return f"the sources of {self.path} answer"
        return _TOLD[self.said]

    def applied(self, declared: Declarations) -> Declarations:
        """The declarations with the sources of the file in place of theirs. Raises `InvalidInput`."""
        if self.said is not None:
            return declared
        other = read_declarations([self.path])
        stand_ins = {source.key: source for source in other.sources}
        unknown = sorted(stand_ins.keys() - {source.key for source in declared.sources})
        if unknown or not stand_ins:
            found = f"has EntitlementSource {unknown[0]}, which -f has not" if unknown else "has no EntitlementSource"
            raise InvalidInput(Problem(self.path, "", found, "give it the name of the source that it stands in for"))
        sources = tuple(stand_ins.get(source.key, source) for source in declared.sources)
        return replace(declared, sources=sources, secrets=(*declared.secrets, *other.secrets))


def supposing(what_if: Supposition | None, as_if: Mode | None) -> str:
    """What a plan only supposes, in one line; empty when it is about what is so."""
    mode = f"every domain has mode {as_if.value}" if as_if is not None else ""
    supposed = " and ".join(filter(None, (what_if.told if what_if is not None else "", mode)))
    return f"supposed: {supposed}" if supposed else ""


def read_supposition(text: str) -> Supposition:
    """Read `empty`, `down` or `source=PATH`. Raises a usage error."""
    if text in SAID:
        return Supposition(SAID[text])
    path = text.removeprefix(FROM_FILE)
    if path == text or not path:
        raise typer.BadParameter(f"write {', '.join(SAID)}, or {FROM_FILE}PATH")
    return Supposition(path=path)


WhatIf = Annotated[
    Supposition | None,
    typer.Option(
        "--what-if",
        metavar="WHAT",
        parser=read_supposition,
        help="empty, down or source=PATH: as if all said [] or did not answer, or those of a file answered.",
    ),
]
