"""What does Argo CD show, and what do its buttons do? The Lua of manifests/argocd on the golden objects, in Lua 5.1."""

import copy
import re
from typing import Any

import pytest
import yaml
from lupa import lua51

from tests.support.crd import KINDS, crd
from tests.support.manifests import rendered
from tests.support.situations import GOLDEN

HEALTH = {
    "MailDomain": {
        "Progressing": {"unseen", "edited", "suspected", "database-away", "missing", "source-not-found", "gathering"},
        "Healthy": {
            "in-sync",
            "rows-removed",
            "withdrawn",
            "observed",
            "grant-only",
            "people",
            "suspected-after-in-sync",
            "gathering-after-in-sync",
        },
        "Suspended": {"suspended", "suspended-after-in-sync", "frozen", "frozen-after-in-sync"},
        "Degraded": {
            "held",
            "contested",
            "non-convergent",
            "stale",
            "ambiguous",
            "alias",
            "not-authorised",
            "claim-conflict",
            "foreign-owner",
            "schema-unknown",
            "not-migrated",
            "invalid-spec",
        },
    },
    "EntitlementSource": {
        "Progressing": {"unseen", "edited", "gathering", "database-away"},
        "Healthy": {"answering", "gathering-after-answering"},
        "Suspended": {"suspended", "suspended-after-answering", "frozen"},
        "Degraded": {
            "held",
            "stale",
            "down",
            "key-refused",
            "circuit-open",
            "secret-missing",
            "pivot-closed",
            "not-a-source-namespace",
            "schema-unknown",
            "not-migrated",
            "invalid-spec",
        },
    },
}
Object = dict[str, Any]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """What the ConfigMap of Argo CD gets."""
    [config_map] = rendered("manifests/argocd")
    assert config_map["metadata"]["name"] == "argocd-cm"
    found: dict[str, str] = config_map["data"]
    return found


def objects(kind: str) -> dict[str, Object]:
    """The golden objects by name."""
    stored = yaml.safe_load_all((GOLDEN / f"{kind}.yaml").read_text(encoding="utf-8"))
    return {item["metadata"]["name"]: item for item in stored}


def run(script: str, obj: Object) -> Any:
    """Run a script as Argo CD does: the object is the global `obj`."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return as_python(lua.execute(script))


def as_python(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys and keys == list(range(1, len(keys) + 1)):
        return [as_python(item) for item in value.values()]
    return {key: as_python(item) for key, item in value.items()}


def actions(settings: dict[str, str], kind: str, obj: Object) -> dict[str, bool]:
    """Which buttons there are, and whether they may be pressed."""
    found = run(
        yaml.safe_load(settings[f"resource.customizations.actions.maildomain.dev_{kind}"])["discovery.lua"], obj
    )
    return {name: not action["disabled"] for name, action in found.items()}


def press(settings: dict[str, str], kind: str, action: str, obj: Object) -> Object:
    """The object that a button makes of this one."""
    definitions = yaml.safe_load(settings[f"resource.customizations.actions.maildomain.dev_{kind}"])["definitions"]
    [script] = [item["action.lua"] for item in definitions if item["name"] == action]
    made: Object = run(script, copy.deepcopy(obj))
    return made


def kinds_with(part: str, field: str) -> set[str]:
    return {kind for kind in KINDS if field in crd(kind).schema["properties"].get(part, {}).get("properties", {})}


def test_each_kind_that_has_conditions_has_health(settings: dict[str, str]) -> None:
    prefix = "resource.customizations.health.maildomain.dev_"
    assert {name.removeprefix(prefix) for name in settings if name.startswith(prefix)} == kinds_with(
        "status", "conditions"
    )


def test_each_kind_that_can_be_suspended_has_actions(settings: dict[str, str]) -> None:
    prefix = "resource.customizations.actions.maildomain.dev_"
    assert {name.removeprefix(prefix) for name in settings if name.startswith(prefix)} == kinds_with("spec", "suspend")


@pytest.mark.parametrize("kind", HEALTH)
def test_each_situation_has_its_health_and_says_why(settings: dict[str, str], kind: str) -> None:
    found: dict[str, set[str]] = {}
    for name, obj in objects(kind).items():
        health = run(settings[f"resource.customizations.health.maildomain.dev_{kind}"], obj)
        found.setdefault(health["status"], set()).add(name)
        assert health["message"], name
    assert found == HEALTH[kind]


@pytest.mark.parametrize("kind", HEALTH)
def test_an_object_without_a_status_is_under_way(settings: dict[str, str], kind: str) -> None:
    obj = {key: value for key, value in objects(kind)["unseen"].items() if key != "status"}
    assert run(settings[f"resource.customizations.health.maildomain.dev_{kind}"], obj)["status"] == "Progressing"


@pytest.mark.parametrize("kind", HEALTH)
def test_a_button_is_there_where_it_does_something(settings: dict[str, str], kind: str) -> None:
    usual = {"reconcile": True, "suspend": True, "resume": False, "approve": False}
    for name, obj in objects(kind).items():
        expected = usual | {"approve": name == "held"}
        if name.startswith("suspended"):
            expected |= {"reconcile": False, "suspend": False, "resume": True}
        assert actions(settings, kind, obj) == expected, name


@pytest.mark.parametrize("kind", HEALTH)
def test_a_button_changes_one_thing(settings: dict[str, str], kind: str) -> None:
    held = objects(kind)["held"]
    poked = press(settings, kind, "reconcile", held)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", poked["metadata"].pop("annotations")["maildomain.dev/requestedAt"]
    )
    approved = press(settings, kind, "approve", held)
    assert approved["metadata"].pop("annotations") == {"maildomain.dev/approve": held["status"]["hold"]["id"]}
    suspended = press(settings, kind, "suspend", held)
    resumed = press(settings, kind, "resume", suspended)
    assert (suspended["spec"].pop("suspend"), resumed["spec"].pop("suspend")) == (True, False)
    assert poked == approved == suspended == resumed == held


@pytest.mark.parametrize("kind", HEALTH)
def test_nothing_that_is_not_held_can_be_approved(settings: dict[str, str], kind: str) -> None:
    with pytest.raises(lua51.LuaError, match="nothing is held"):
        press(settings, kind, "approve", objects(kind)["edited"])
