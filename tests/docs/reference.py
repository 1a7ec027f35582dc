"""How do the CRDs read as a table? One row a field: path, type with bounds, default, meaning."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.crd import Schema, crd

_DURATION_BOUND = re.compile(r"duration\(self\) [<>]= duration\('(\w+)'\)")


def rows(kind: str, part: str) -> list[list[str]]:
    """The fields below `spec` or `status`. A status has no defaults, so it has no column for them."""
    found = list(_rows(crd(kind).schema["properties"][part], part))
    return found if part == "spec" else [[path, shape, meaning] for path, shape, _, meaning in found]


def columns(kind: str) -> list[list[str]]:
    """The printer columns: name, `wide` for those of `-o wide` alone, the field that it shows."""
    shown = crd(kind).version["additionalPrinterColumns"]
    return [[column["name"], "wide" if column.get("priority") else "", f"`{column['jsonPath']}`"] for column in shown]


def as_markdown(table: list[list[str]]) -> str:
    """The rows as they stand in the page, to be copied there."""
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in table)


def _rows(schema: Schema, path: str) -> Iterator[list[str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        yield [f"`{where}`", _type(field), _default(field, required=name in required), _meaning(field)]
        item = field.get("items", {})
        yield from _rows(item, f"{where}[]") if item else _rows(field, where)


def _type(field: Schema) -> str:
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "share or number"
    kind: str = "duration" if _duration_bounds(field) else field.get("format", field["type"])
    kind = {"int32": "integer", "int64": "integer", "array": "list", "date-time": "time"}.get(kind, kind)
    return kind + _bounds(field)


def _meaning(field: Schema) -> str:
    text: str = field["description"]
    return text.replace("*", "\\*")


def _bounds(field: Schema) -> str:
    if between := _duration_bounds(field):
        return f" {between[0]}..{between[1]}"
    low, high = field.get("minimum", field.get("minItems")), field.get("maximum", field.get("maxItems"))
    if field["type"] not in ("integer", "array") or high is None:
        return ""
    return f" {low or 0}..{high}"


def _duration_bounds(field: Schema) -> list[str]:
    rules = (rule["rule"] for rule in field.get("x-kubernetes-validations", ()))
    return [bound for rule in rules for bound in _DURATION_BOUND.findall(rule)]


def _default(field: Schema, *, required: bool) -> str:
    if required:
        return "required"
    default: Any = field.get("default", {})
    if default == {}:
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"
