"""What would an API server say to this object? The schemas and rules of crds/, executed without one.

As on the server: null is absent, defaults, types, bounds and patterns (RE2), unknown fields (which kubectl has refused
strictly), CEL rules with `oldSelf`. Not executed: the cost limits of rules, metadata.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celpy
import re2  # type: ignore[import-untyped]  # cel-python brings it: the engine of the server, without stubs
import yaml
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

ROOT = Path(__file__).parents[2]
KINDS = {
    "CatalogService": "catalogservices.yaml",
    "EntitlementSource": "entitlementsources.yaml",
    "MailDomain": "maildomains.yaml",
    "MailDomainGroup": "maildomaingroups.yaml",
    "MailDomainLink": "maildomainlinks.yaml",
    "MailDomainRole": "maildomainroles.yaml",
    "MailDomainRoleBinding": "maildomainrolebindings.yaml",
    "ServiceGroupRestriction": "servicegrouprestrictions.yaml",
}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that the server finds wrong, at a dotted path such as `spec.sourceRefs[0].name`."""

    path: str
    message: str


@dataclass(frozen=True)
class Crd:
    """One CustomResourceDefinition of one version."""

    raw: Schema

    @property
    def version(self) -> Schema:
        [version] = self.raw["spec"]["versions"]
        found: Schema = version
        return found

    @property
    def schema(self) -> Schema:
        found: Schema = self.version["schema"]["openAPIV3Schema"]
        return found

    @functools.cached_property
    def _validator(self) -> Draft202012Validator:
        validator: Draft202012Validator = _Validator(_json_schema(self.schema))
        return validator

    def admitted(self, obj: Mapping[str, Any]) -> Any:
        """The object as it would be stored: nulls gone, defaults set. It need not be valid."""
        return with_defaults(without_nulls(obj), self.schema)

    def refusals(self, obj: Mapping[str, Any], *, before: Mapping[str, Any] | None = None) -> list[Refusal]:
        """What is wrong with it; `before` is the stored object that it would replace."""
        stored = self.admitted(obj)
        errors = [Refusal(_dotted(error.absolute_path), error.message) for error in self._validator.iter_errors(stored)]
        # The server as well runs no rule on an object whose shape is wrong.
        return errors or list(_broken_rules(self.schema, stored, before and self.admitted(before), ""))


@functools.cache
def crd(kind: str) -> Crd:
    return Crd(yaml.safe_load((ROOT / "crds" / KINDS[kind]).read_text(encoding="utf-8")))


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every part of a schema with its path: `spec.sourceRefs[].name`."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: without_nulls(part) for name, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


def with_defaults(value: Any, schema: Schema) -> Any:
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        absent = {name: part["default"] for name, part in properties.items() if "default" in part and name not in value}
        return {name: with_defaults(part, properties.get(name, {})) for name, part in (dict(value) | absent).items()}
    return [with_defaults(part, schema.get("items", {})) for part in value] if isinstance(value, list) else value


def _json_schema(schema: Schema, *, root: bool = True) -> Schema:
    """The same in JSON Schema: unknown fields refused, int-or-string as two types."""
    result = {name: part for name, part in schema.items() if not name.startswith("x-")}
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        result["properties"] = {
            name: {} if root and name == "metadata" else _json_schema(part, root=False)
            for name, part in properties.items()
        }
        values = schema.get("additionalProperties")
        result["additionalProperties"] = _json_schema(values, root=False) if values else False
    if "items" in schema:
        result["items"] = _json_schema(schema["items"], root=False)
    return result


@functools.cache
def _regex(pattern: str) -> Any:
    return re2.compile(pattern)


def _pattern(_: object, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _regex(pattern).search(value):
        yield ValidationError(f"should match {pattern}")


_Validator: Any = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]  # its stubs lack it


# Made once, at import: it raises the recursion limit, which Hypothesis wants to find as it left it.
_ENVIRONMENT = celpy.Environment()


@functools.cache
def _program(rule: str) -> celpy.Runner:
    return _ENVIRONMENT.program(_ENVIRONMENT.compile(rule))


def _broken_rules(schema: Schema, value: Any, before: Any, path: str) -> Iterator[Refusal]:
    for validation in schema.get("x-kubernetes-validations", ()):
        # A rule about `oldSelf` speaks on an update only.
        if before is None and "oldSelf" in validation["rule"]:
            continue
        rule = validation["rule"]
        if not _holds(rule, json.dumps(_seen_by(rule, value)), json.dumps(_seen_by(rule, before))):
            yield Refusal((path + validation.get("fieldPath", "")).removeprefix("."), validation["message"])
    if isinstance(value, Mapping):
        for name, part in schema.get("properties", {}).items():
            if name in value:
                old = before.get(name) if isinstance(before, Mapping) else None
                yield from _broken_rules(part, value[name], old, f"{path}.{name}".removeprefix("."))
    elif isinstance(value, list) and "items" in schema:
        # Atomic lists have no old items to compare with.
        for index, item in enumerate(value):
            yield from _broken_rules(schema["items"], item, None, f"{path}[{index}]")


def _seen_by(rule: str, value: Any) -> Any:
    """Of a mapping only the fields that the rule looks at, so that one outcome serves all that differ elsewhere."""
    if not isinstance(value, Mapping) or _WHOLE.search(rule):
        return value
    looked_at = set(_FIELD.findall(_PRESENCE.sub("", rule)))
    asked_for = set(_PRESENCE.findall(rule))
    kept = {name: part for name, part in value.items() if name in looked_at}
    return kept | {name: 0 for name in value if name in asked_for - looked_at}


_PRESENCE = re.compile(r"has\((?:self|oldSelf)\.(\w+)\)")
_FIELD = re.compile(r"\b(?:self|oldSelf)\.(\w+)")
_WHOLE = re.compile(r"\b(?:self|oldSelf)\b(?!\.)|\b(?:self|oldSelf)\.\w+\(")


@functools.lru_cache(maxsize=100_000)
def _holds(rule: str, value: str, before: str) -> bool:
    """On values as JSON texts, so that a rule is run once on what many objects share."""
    try:
        names = {"self": json_to_cel(json.loads(value)), "oldSelf": json_to_cel(json.loads(before))}
        return bool(_program(rule).evaluate(names))
    except (CELEvalError, ValueError):
        # The server refuses as well what a rule can't be evaluated on.
        return False


def _dotted(path: Iterator[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
