"""Do the typed models and the CRDs say the same: fields, defaults, and the verdict on any object?"""

import enum
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from controller.errors import InvalidInput
from controller.resources.documents import KINDS as MODELS
from controller.resources.documents import parse_object
from controller.resources.model import Resource
from tests.support.crd import Schema, crd, nodes, without_nulls
from tests.support.declared import EXTERNAL, LEAST, MAILDOMAIN, STATIC, WHOLE, Absent, Step, changed

SPECS = {kind: cast("type[BaseModel]", model.model_fields["spec"].annotation) for kind, model in MODELS.items()}
KINDS = sorted(SPECS)


# --- field by field ---------------------------------------------------------------------------------------------------


def parts(model: type[BaseModel], schema: Schema, path: str) -> Iterator[tuple[str, type[BaseModel], Schema]]:
    """Each model with the schema that stands for it."""
    yield path, model, schema
    for name, field in by_alias(model).items():
        part = schema["properties"].get(name, {})
        for inner in models_in(field.annotation):
            yield from parts(inner, part.get("items", part), f"{path}.{name}")


def by_alias(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def choices(annotation: Any) -> list[str] | None:
    if type(None) in typing.get_args(annotation):
        [annotation] = set(typing.get_args(annotation)) - {type(None)}
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [member.value for member in annotation]
    return list(typing.get_args(annotation)) if typing.get_origin(annotation) is Literal else None


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_is_in_both_and_required_in_both(kind: str) -> None:
    for path, model, schema in parts(SPECS[kind], crd(kind).schema["properties"]["spec"], "spec"):
        fields = by_alias(model)
        assert fields.keys() == schema.get("properties", {}).keys(), path
        assert {name for name, field in fields.items() if field.is_required()} == set(schema.get("required", ())), path


@pytest.mark.parametrize("kind", KINDS)
def test_each_enum_is_the_same_in_both(kind: str) -> None:
    for path, model, schema in parts(SPECS[kind], crd(kind).schema["properties"]["spec"], "spec"):
        for name, field in by_alias(model).items():
            assert choices(field.annotation) == schema["properties"][name].get("enum"), f"{path}.{name}"


@pytest.mark.parametrize("obj", [*WHOLE.values(), *LEAST.values()])
def test_the_defaults_are_the_same_in_both(obj: dict[str, Any]) -> None:
    assert written(obj) == without_empty(crd(obj["kind"]).admitted(obj)["spec"])


def written(obj: dict[str, Any]) -> dict[str, Any]:
    """The spec as the model writes it, every default included."""
    dumped: dict[str, Any] = parse(obj).model_dump(mode="json", by_alias=True, exclude_none=True)
    return without_empty(dumped["spec"])


def without_empty(spec: dict[str, Any]) -> dict[str, Any]:
    """An empty list and a part without a default in it are as good as absent; `local: {}` is not."""
    return {
        name: without_empty(part) if isinstance(part, dict) else part
        for name, part in spec.items()
        if part not in ([], {"pivotSirets": [], "claims": []}, {"claims": []}, {"pivotSirets": []})
    }


# --- verdict by verdict -----------------------------------------------------------------------------------------------


def parse(obj: dict[str, Any]) -> Resource:
    return parse_object(MODELS[obj["kind"]], without_nulls(obj), strict=True)


def model_refuses(obj: dict[str, Any]) -> bool:
    try:
        parse(obj)
    except InvalidInput:
        return True
    return False


def words(text: str) -> list[str]:
    return text.split()


LABEL = "a" * 63
LONGEST = ".".join([LABEL] * 3 + ["a" * 61])

TEXTS: list[object] = [
    *words("a aa a.b commune.fr Commune.fr commune.fr. .fr a..fr -a.fr a-.fr a_b.fr é.fr xn--vreux-9ua.fr"),
    *words("* *. *.a *.aa *.a.b **.a a.*.b api-key a/b Secret a.b-c -a siret _x 9x"),
    *words("a@x.fr b@x.fr a@ @x.fr a@b@c é@x.fr"),
    *words("21590350100017 2159035010001 215903501000170 2159035010001x"),
    *words("https://dc.example/ https://dc.example http://dc.example/ https:// https:///x"),
    *words("https://a@b/ https://a/?b https://a/#b"),
    *words("Observe Enforce GrantOnly Withdraw observe Ledger Authoritative Never Matching All Exists Created"),
    *words("0s 0m 1s 59s 60s 1m 2m 2m1s 5m 10m 15m 16m 30m 59m59s 1h 1h1s 12h 24h 24h1s 84h 85h 168h 168h1s"),
    *words("720h 721h 100000h 99999h99999m999999s 1m1h 1.5h -1m 1d 1M m 10 00001h 1h0m0s"),
    *words("0% 1% 07% 100% 101% % -1% 1.5% 3 1000%"),
    *("", " commune.fr", "commune.fr\n", "1h ", "1h\n", "100 %", "a b", "21590350100017\n", "\u0661" * 14, "\u212a.fr"),
    *("a b@x.fr", "a@x.fr\n", "a@x.fr\x0b", "a@x.fr\u00a0", "https://a/\u00a0", "https://a/b c"),
    *(LABEL, LABEL + "a", LONGEST, LONGEST + "a", "x" * 254, f"*.{LONGEST[:-2]}", f"*.{LONGEST[:-1]}"),
    *("a" * 249 + "@x.fr", "a" * 250 + "@x.fr"),
]
NUMBERS: list[object] = [-1, 0, 1, 2, 7, 8, 9, 32, 33, 50, 51, 1000, 1001, 10_000, 10_001, 2**31 - 1, 2**31, 1.5]
SIRET = "21590350100017"
PARTS: list[object] = [
    None, True, [], {}, [""], [None], [{}],
    ["a@x.fr"], ["A@x.fr"], ["b@x.fr", "a@x.fr"], [SIRET] * 8, [SIRET] * 9, {"siret": SIRET},
    [{"name": "a"}] * 8, [{"name": "a"}] * 9, [{"name": "a", "namespace": "b"}], [{"name": "a", "other": "b"}],
    [{"namespaces": ["*"]}], [{"namespaces": []}], [{"namespaces": ["a"], "domains": []}], [{"namespaces": ["a"]}] * 65,
    {"local": {}}, {"static": STATIC}, {"local": {}, "static": STATIC}, {"local": None, "static": STATIC},
    {"local": {"a": 1}}, {"local": None}, {"max": 0}, {"max": "0%", "window": None}, {"window": "1h"},
    {"revocations": {"max": 1}}, {"revocations": None}, {"minAdmins": 51}, {"maxAdmins": 0},
    {"mode": "Selected"}, {"mode": "All"}, {"mode": "Selected", "services": ["a"]}, {"mode": "None", "subjects": []},
    {"kind": "User", "email": "a@x.fr"}, {"kind": "User", "name": "a"}, {"kind": "Group", "name": "a"},
    [{"service": "a", "group": "b"}], [{"service": "a", "group": "b"}] * 2, [{"kind": "Group", "name": "a"}] * 1001,
    {"name": "a", "key": "b"}, {"name": "a"}, {"after": "0s"}, {"after": None}, {"ensure": "Exists"},
    {"a": "x", "b": 1}, {"a": None}, {"a": 1.5}, {"a": True}, {"a" * 65: 1}, {"a" * 64: "x" * 1024},
    {"a": "x" * 1025}, {f"a{i}": i for i in range(33)},
]  # fmt: skip
OTHERS: list[object] = [Absent, None, False, 3, "3", 1.5, [], {}]


def places(kind: str) -> list[tuple[Step, ...]]:
    """Every place of a spec where a value may stand, items of lists at index 0, and one unknown field each."""
    found = [path for path, _ in nodes(crd(kind).schema) if path.startswith("spec")]
    steps = [tuple(0 if part == "0" else part for part in path.replace("[]", ".0").split(".")) for path in found]
    parents = [place for place, path in zip(steps, found, strict=True) if "properties" in schema_at(kind, path)]
    return steps + [(*parent, "surprise") for parent in parents]


def schema_at(kind: str, wanted: str) -> Schema:
    return dict(nodes(crd(kind).schema))[wanted]


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """A valid object with up to three values changed, each to something valid or not."""
    kind = draw(st.sampled_from(KINDS))
    obj: dict[str, Any] = draw(st.sampled_from([WHOLE[kind], LEAST[kind]]))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(places(kind)))
        value = draw(st.sampled_from([Absent, *TEXTS, *NUMBERS, *PARTS]))
        try:
            obj = changed(obj, *place, to=value)
        except (IndexError, TypeError, AttributeError, KeyError):
            continue  # what stood on the way is no longer of that shape
    return obj


@settings(max_examples=300, deadline=None)
@given(obj=objects())
def test_schema_with_rules_and_model_give_the_same_verdict(obj: dict[str, Any]) -> None:
    refusals = crd(obj["kind"]).refusals(obj)

    assert model_refuses(obj) == bool(refusals), refusals
    if not refusals:
        assert written(obj) == written(crd(obj["kind"]).admitted(obj)), "a default means something else in the model"


@pytest.mark.parametrize(
    ("kind", "place"), [pytest.param(kind, place, id=f"{kind} {place}") for kind in KINDS for place in places(kind)]
)
def test_every_value_at_every_place_gets_the_same_verdict(kind: str, place: tuple[Step, ...]) -> None:
    for value in (*OTHERS, *fitting(kind, place)):
        obj = changed(with_provider_of(place, WHOLE[kind]), *place, to=value)
        refusals = crd(kind).refusals(obj)
        assert model_refuses(obj) == bool(refusals), (value, refusals)


def fitting(kind: str, place: tuple[Step, ...]) -> Sequence[object]:
    """Values of the type that stands there: the others differ in nothing but their type."""
    path = ".".join(map(str, place)).replace(".0", "[]")
    schema = schema_at(kind, path) if place[-1] != "surprise" else {}
    if "x-kubernetes-int-or-string" in schema:
        return [*TEXTS, *NUMBERS]
    return {"string": TEXTS, "integer": NUMBERS}.get(schema.get("type", ""), PARTS)


def with_provider_of(place: tuple[Step, ...], obj: dict[str, Any]) -> dict[str, Any]:
    others = {name: whole for name, whole in (("static", STATIC), ("external", EXTERNAL)) if name in place}
    return changed(obj, "spec", "provider", to=others) if others else obj


def test_only_the_model_knows_that_two_spellings_are_one_person() -> None:
    obj = changed(MAILDOMAIN, "spec", "deniedAdmins", to=["DSI@Commune.Example"])

    assert crd("MailDomain").refusals(obj) == []
    assert model_refuses(obj)
