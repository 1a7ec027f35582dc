"""Does the cluster know the kinds as this program does? An API server drops the fields that its CRDs do not have."""

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from controller.cluster.rights import plural
from controller.resources.documents import KINDS
from controller.resources.model import GROUP

_KIND = "x-kubernetes-group-version-kind"
_READ_BACK = {"EntitlementSource": ("epoch", "journal")}
"""What one process writes into a status for a later one: without it a restored database is not known for one."""


def unknown_to(document: Mapping[str, Any]) -> Iterator[str]:
    """The kinds, the fields of `spec`, and what is read back of a status, that an OpenAPI document does not have."""
    schemas = {
        named["kind"]: schema
        for schema in document.get("components", {}).get("schemas", {}).values()
        for named in schema.get(_KIND, ())
        if named.get("group") == GROUP
    }
    for kind, model in KINDS.items():
        if kind not in schemas:
            yield f"{plural(kind)}.{GROUP}"
        else:
            known = schemas[kind].get("properties", {})
            [declared] = _models(model.model_fields["spec"].annotation)
            paths = [*_unknown(declared, known.get("spec", {}), "spec"), *_dropped(kind, known.get("status", {}))]
            yield from (f"{plural(kind)}.{GROUP} {path}" for path in paths)


def _dropped(kind: str, schema: Mapping[str, Any]) -> Iterator[str]:
    known = schema.get("properties", {})
    return (f"status.{name}" for name in _READ_BACK.get(kind, ()) if name not in known)


def _unknown(model: type[BaseModel], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    known = schema.get("properties", {})
    for name, field in model.model_fields.items():
        alias = field.alias or name
        if alias not in known:
            yield f"{path}.{alias}"
            continue
        part = known[alias].get("items", known[alias])
        for inner in _models(field.annotation):
            yield from _unknown(inner, part, f"{path}.{alias}")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
