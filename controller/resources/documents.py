"""Which objects do these documents declare?"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretBytes, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from controller.errors import InvalidInput, Problem
from controller.resources.catalogservice import CatalogService
from controller.resources.charter import Charter, ServiceKind, contradictions
from controller.resources.group import MailDomainGroup
from controller.resources.kubeyaml import Flaw, read_yaml, showable
from controller.resources.link import MailDomainLink
from controller.resources.maildomain import MailDomain
from controller.resources.model import API_VERSION, GROUP, Declared, Metadata
from controller.resources.names import DomainName, ResourceKey
from controller.resources.restriction import ServiceGroupRestriction
from controller.resources.role import MailDomainRole
from controller.resources.rolebinding import MailDomainRoleBinding
from controller.resources.source import EntitlementSource


@dataclass(frozen=True, slots=True)
class Document:
    """A text of YAML documents, and what people call the place it came from: a file name, or `-`."""

    where: str
    text: str


def _decoded(value: Any) -> bytes:
    try:
        # Line breaks are allowed within, as in Kubernetes.
        return base64.b64decode(re.sub(r"[\r\n]", "", value), validate=True)
    except (TypeError, ValueError):
        raise PydanticCustomError("base64", "write base64, or use stringData for plain text") from None


class Secret(Declared):
    """A Secret of the core API. Its values are shown nowhere; `value` gives one to whoever needs it."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: Annotated[Metadata, Field(repr=False)]
    type: str = "Opaque"
    immutable: bool = False
    data: Mapping[str, Annotated[SecretBytes, BeforeValidator(_decoded)]] = {}
    string_data: Mapping[str, SecretStr] = {}

    @property
    def key(self) -> ResourceKey:
        """Namespace and name."""
        return self.metadata.key

    def value(self, key: str) -> bytes | None:
        """What stands under a key, or None; `stringData` goes before `data`."""
        if key in self.string_data:
            return self.string_data[key].get_secret_value().encode()
        return self.data[key].get_secret_value() if key in self.data else None


Declaration = MailDomain | EntitlementSource | ServiceKind | Secret

KINDS: Mapping[str, type[MailDomain | EntitlementSource | ServiceKind]] = {
    "MailDomain": MailDomain,
    "EntitlementSource": EntitlementSource,
    "CatalogService": CatalogService,
    "MailDomainRole": MailDomainRole,
    "MailDomainRoleBinding": MailDomainRoleBinding,
    "MailDomainGroup": MailDomainGroup,
    "MailDomainLink": MailDomainLink,
    "ServiceGroupRestriction": ServiceGroupRestriction,
}
"""The kinds of our group."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """What a set of documents declares, in the order of the documents."""

    domains: tuple[MailDomain, ...]
    sources: tuple[EntitlementSource, ...]
    secrets: tuple[Secret, ...]
    charter: Charter


def parse_documents(documents: Iterable[Document]) -> Declarations:
    """Parse texts strictly: unknown fields and kinds, doubles, and nothing declared at all are problems.

    Lists are unfolded, objects of other groups ignored, a missing namespace is `default`, null is absent. Raises
    `InvalidInput` with every problem of all texts.
    """
    problems: list[Problem] = []
    placed: list[tuple[str, Declaration]] = []
    for where, content in _contents(documents, problems):
        try:
            placed.extend(_placed(where, content))
        except InvalidInput as error:
            problems.extend(error.problems)
    problems.extend(_doubles(placed))
    domains = tuple(found for _, found in placed if isinstance(found, MailDomain))
    sources = tuple(found for _, found in placed if isinstance(found, EntitlementSource))
    charter = Charter.of(found for _, found in placed)
    problems.extend(contradictions(domains, charter))
    if not problems and all(isinstance(found, Secret) for _, found in placed):
        remedy = f"name files that hold objects of {API_VERSION}"
        problems.append(Problem("input", "", "declares no MailDomain and no EntitlementSource", remedy))
    if problems:
        raise InvalidInput(*problems)
    secrets = tuple(found for _, found in placed if isinstance(found, Secret))
    return Declarations(domains, sources, secrets, charter)


def parse_maildomain(obj: Mapping[str, Any], *, strict: bool) -> MailDomain:
    """Parse one object as the API server has it; without `strict` fields of a newer schema are ignored.

    Raises `InvalidInput` with every problem of the object.
    """
    return parse_object(MailDomain, obj, strict=strict)


def parse_source(obj: Mapping[str, Any], *, strict: bool) -> EntitlementSource:
    """Parse one object as the API server has it, as `parse_maildomain` does."""
    return parse_object(EntitlementSource, obj, strict=strict)


T = TypeVar("T", bound=Declared)


def parse_object(model: type[T], obj: Mapping[str, Any], *, strict: bool) -> T:
    """Parse one object of any kind, as `parse_maildomain` does."""
    return _validated(model, _title(obj), obj, strict=strict)


# --- from texts to objects --------------------------------------------------------------------------------------------


def _contents(documents: Iterable[Document], problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    """Each object with its place; what can't be read becomes a problem."""
    for document in documents:
        for read in read_yaml(document.text):
            where = f"{document.where}, document {read.number}"
            if isinstance(read, Flaw):
                problems.append(Problem(where, "", read.found, read.remedy))
            elif not (read.value is None or _is_bare_kustomization(document.where, read.value)):
                yield from _unfolded(where, read.value)


def _is_bare_kustomization(where: str, content: Any) -> bool:
    """Kustomize lets its own file go without apiVersion and kind."""
    name = where.rpartition("/")[2].lower()
    return name.startswith("kustomization") and isinstance(content, Mapping) and "kind" not in content


def _unfolded(where: str, content: Any) -> Iterator[tuple[str, Any]]:
    items = content.get("items") if isinstance(content, Mapping) else None
    if isinstance(items, list) and str(content.get("kind")).endswith("List"):
        for index, item in enumerate(items):
            yield f"{where}, items[{index}]", item
    else:
        yield where, content


def _placed(where: str, content: Any) -> Iterator[tuple[str, Declaration]]:
    """The object as we know it, with its place and name; nothing for an object that is not ours."""
    if not isinstance(content, Mapping):
        raise InvalidInput(Problem(where, "", _shape(content), "write one Kubernetes object a document"))
    group, kind = str(content.get("apiVersion")).partition("/")[0], content.get("kind")
    where = f"{where}, {_title(content)}"
    # `status` is the API server's: in a file it is what some server held when the file was written.
    declared = {name: _without_nulls(part) for name, part in content.items() if name != "status"}
    # Only this name is one that other groups may well have; of the others the apiVersion is a slip.
    if isinstance(kind, str) and kind in KINDS and (group == GROUP or kind != "CatalogService"):
        yield where, _validated(KINDS[kind], where, declared, strict=True)
    elif kind == "Secret" and group == "v1":
        yield where, _validated(Secret, where, declared, strict=True)
    elif group == GROUP:
        raise InvalidInput(Problem(where, "kind", "is not known", f"write {', '.join(KINDS)}"))
    elif not (isinstance(kind, str) and isinstance(content.get("apiVersion"), str)):
        raise InvalidInput(Problem(where, "", "is no Kubernetes object", "give it an apiVersion and a kind"))


def _without_nulls(value: Any) -> Any:
    """As the API server has it: a field that is null is absent."""
    if isinstance(value, Mapping):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def _doubles(placed: Iterable[tuple[str, Declaration]]) -> Iterator[Problem]:
    objects: dict[tuple[str, ResourceKey], str] = {}
    names: dict[DomainName, str] = {}
    for where, declaration in placed:
        key = (declaration.kind, declaration.key)
        if key in objects:
            yield Problem(where, "metadata.name", f"stands in {objects[key]} already", "keep one of them")
            continue
        objects[key] = where
        if isinstance(declaration, MailDomain):
            if declaration.domain in names:
                found = f"is claimed by {names[declaration.domain]} already"
                yield Problem(where, "spec.domain", found, "keep one of them")
            names.setdefault(declaration.domain, where)


# --- from objects to models, with problems that people can act on -----------------------------------------------------

_REMEDIES: Mapping[str, str] = {
    "missing": "add it",
    "extra_forbidden": "remove it or correct its spelling",
    "string_type": "write a text; in quotes, when it looks like a number, a date or true and false",
    "string_pattern_mismatch": "write a text that matches {pattern}",
    "string_too_short": "write at least {min_length} characters",
    "string_too_long": "write at most {max_length} characters",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "tuple_type": "write a list",
    "model_type": "write a mapping of fields",
    "mapping_type": "write a mapping",
    "too_short": "write at least {min_length} item",
    "too_long": "write at most {max_length} items",
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "enum": "write {expected}",
    "literal_error": "write {expected}",
    "invalid_key": "write a text as the name of the field",
}
"""What to do about each pydantic error that the models can raise. Ours carry their remedy as their message."""


def _validated(model: type[T], where: str, content: Mapping[str, Any], *, strict: bool) -> T:
    try:
        return model.model_validate(content, by_alias=True, by_name=False, extra=None if strict else "ignore")
    except ValidationError as error:
        details = error.errors(include_url=False)
    # An item that can't be used is not missing as well.
    problems = [_problem(where, detail) for detail in details if detail["type"] != "too_short" or not detail["input"]]
    # Raised here, because the validation error would come along as the context and hold the values.
    raise InvalidInput(*problems)


def _problem(where: str, detail: ErrorDetails) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    remedy = _REMEDIES[kind].format_map(context) if kind in _REMEDIES else detail["msg"]
    return Problem(where, _dotted(detail["loc"]), _found(kind, detail["input"]), remedy)


def _found(kind: str, value: object) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a known field"
    if isinstance(value, (Mapping, Declared)) and kind not in _REMEDIES:
        return "has fields that contradict each other"
    return _shape(value)


def _shape(value: object) -> str:
    """What a value is, without the value."""
    match value:
        case None:
            return "is null"
        case bool():
            return "is true or false"
        case int():
            return "is a whole number"
        case float():
            return "is a number with decimals"
        case str():
            return f"is a text of {len(value)} characters" if value else "is an empty text"
        case list() | tuple():
            return f"is a list of {len(value)}"
        case _:
            return "is a mapping"


def _dotted(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{showable(part)}" for part in location)
    return "".join(parts).removeprefix(".")


def _title(content: Mapping[str, Any]) -> str:
    """Kind and namespace/name, as far as they can be shown."""
    metadata = content.get("metadata")
    known = metadata if isinstance(metadata, Mapping) else {}
    scoped = content.get("kind") != "CatalogService"
    key = ResourceKey(showable(known.get("namespace") or "default") if scoped else "", showable(known.get("name")))
    return f"{showable(content.get('kind'))} {key}"
