"""Is a document of the shape that docs/schema/ publishes?"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"


def require(document: Any, schema: str) -> None:
    """Raises `jsonschema.ValidationError` for a document that is not of this schema, such as `plan.json`."""
    _validator(schema).validate(document)


@cache
def _validator(name: str) -> Validator:
    """The schema is looked at once, however many documents there are."""
    schema = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    kind = validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)
