"""How are documents written for machines? camelCase, in the order of the model's fields, indented."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Part(BaseModel):
    """A part of a document."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


def dump(document: Part, *, nulls: bool = True) -> str:
    """Print a document. Without `nulls` fields that are not set are left out."""
    return document.model_dump_json(by_alias=True, exclude_none=not nulls, indent=2) + "\n"
