"""How are the facts of our own tables spelled? Keys, evidence and deeds as text and JSON, and back."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from controller.planning.facts import Evidence
from controller.resources.names import ResourceKey


class Deed(StrEnum):
    """What a journal entry says was done."""

    GRANTED = "granted"
    ADOPTED = "adopted"
    REVOKED = "revoked"
    CLAIMED = "claimed"
    TAKEN_OVER = "takenOver"
    ACTED_AS = "actedAs"
    """Somebody was let in as another one. `user` is who it was, the image names the other."""
    RESTORED = "restored"
    """A removal was undone."""
    RELEASED = "released"
    """What was restored is judged again like everything else."""
    SERVICES = "services"
    """Who may open which service was decided anew for a domain. The image has the counts."""


def read_key(text: str) -> ResourceKey:
    """`namespace/name` to a key."""
    namespace, _, name = text.partition("/")
    return ResourceKey(namespace, name)


def write_evidence(evidence: Iterable[Evidence]) -> list[dict[str, Any]]:
    """Evidence to JSON."""
    return [
        {"source": str(item.source), "verdict": item.verdict, "names": item.names, "siret": item.siret}
        for item in evidence
    ]


def read_evidence(stored: Sequence[Mapping[str, Any]]) -> tuple[Evidence, ...]:
    """JSON to evidence."""
    return tuple(Evidence(read_key(item["source"]), item["verdict"], item["names"], item["siret"]) for item in stored)
