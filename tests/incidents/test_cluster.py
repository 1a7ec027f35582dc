"""What went wrong elsewhere between a controller and its cluster, and does not here. Numbers as in the list."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from controller.engine.inventory import RELIST
from controller.engine.world import Kind
from controller.errors import ClusterUnavailable, ControllerError
from controller.planning.facts import AnswerReason, Unavailable
from controller.resources.maildomain import MailDomain
from controller.resources.model import API_VERSION
from controller.resources.names import ResourceKey
from tests.support.database import MailWorld
from tests.support.operating import Operating, counting
from tests.support.towns import down, rows, settle_town

Unchanged = Callable[[], None]
ROOT = Path(__file__).parents[2]
CRDS = [
    crd
    for path in sorted((ROOT / "crds").glob("*.yaml"))
    for crd in yaml.safe_load_all(path.read_text())
    if crd["kind"] == "CustomResourceDefinition"
]


async def test_incident_10_nothing_is_patched_when_nothing_happens(operating: Operating, world: MailWorld) -> None:
    """Status hot loops: ten minutes of rest, and ten of a lasting failure that is poked at each turn."""
    await settle_town(operating, world, 5)
    await operating.wave()
    with counting(operating.world) as quiet:
        await operating.wave()
    assert quiet == [(Kind.SOURCE, operating.source.key)], "the heartbeat"
    operating.source.instead = down
    for _ in range(4):
        await operating.wave()
    with counting(operating.world) as failing:
        for _ in range(20):
            operating.reign.notice()
            await operating.settle(1)
    assert len(failing) <= 1


def test_incident_11_no_finalizer_can_get_stuck() -> None:
    """Deletion hung for ever when the back end was gone first: nothing of ours may write an object's metadata."""
    rules = [
        rule
        for document in yaml.safe_load_all((ROOT / "manifests" / "base" / "rbac.yaml").read_text())
        for rule in document.get("rules", ())
        if rule["apiGroups"] == ["maildomain.dev"]
    ]
    for rule in rules:
        on_status = all(resource.endswith("/status") for resource in rule["resources"])
        assert set(rule["verbs"]) <= ({"patch"} if on_status else {"get", "list", "watch"})
        assert not any(resource.endswith("/finalizers") for resource in rule["resources"])


async def test_incident_11_a_deleted_resource_goes_while_the_database_is_away(
    operating: Operating, world: MailWorld, unchanged: Unchanged
) -> None:
    await settle_town(operating, world, 2)
    unchanged()
    operating.world.objects[Kind.DOMAIN].clear()
    operating.world.objects[Kind.SOURCE].clear()
    operating.reign.notice()
    await operating.settle()
    assert not operating.reign.desks


async def test_incident_12_a_status_stays_small_whatever_there_is_to_say(
    operating: Operating, world: MailWorld
) -> None:
    """Objects outgrew what the API server takes: the longest name and 600 administrators that are all held."""
    name = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 61))
    row = world.domain(name)
    for number in range(600):
        operating.source.says[f"u{number}@x.fr"] = frozenset({name})
    world._insert(
        "messages_user", [world.user_row(f"{n:032x}", email) for n, email in enumerate(operating.source.says)]
    )
    operating.world.apply(
        Kind.DOMAIN,
        "n" * 253,
        domain=name,
        mode="Enforce",
        sourceRefs=[{"name": "deploycenter"}],
        limits={"maxAdmins": 1000},
    )
    await operating.settle()
    assert len(world.admins_of(row)) == 600
    operating.source.says.clear()
    await operating.wave()
    status = operating.world.status(Kind.DOMAIN, "n" * 253)
    assert status["admins"]["held"] == 600
    assert len(json.dumps(status)) < 4096


async def test_incident_13_a_watch_that_says_nothing_is_not_believed_for_ever(
    operating: Operating, world: MailWorld
) -> None:
    """A watch went silent and 3000 objects stopped: everything is listed again, whatever the events said."""
    await settle_town(operating, world, 1)
    world.domain("new.fr")
    world.user("ada@new.fr")
    operating.source.says["ada@new.fr"] = frozenset({"new.fr"})
    operating.world.apply(Kind.DOMAIN, "new", domain="new.fr", mode="Enforce", sourceRefs=[{"name": "deploycenter"}])
    await operating.settle(RELIST + 1)
    assert operating.world.condition(Kind.DOMAIN, "new") == ("True", "InSync")
    assert len(rows(world)) == 3


async def test_incident_15_one_poisoned_record_stops_nobody(operating: Operating, world: MailWorld) -> None:
    """One bad record blocked or crashed everything: here an object, a user, a name and an answer are bad at once."""
    operating.world.apply(Kind.DOMAIN, "broken", domain={"not": "a text"}, mode=5)
    operating.domain("poisoned.fr")
    world.domain("POISONED.fr")
    for email in (None, "", "no address", "a@b@c", "x" * 240 + "@x.fr", "\u212a@x.fr"):
        world.user(email)
    poisoned = Unavailable(AnswerReason.SERVER_ERROR)
    operating.source.instead = lambda subject: poisoned if subject.email.reveal() == "a@b@c" else None
    await settle_town(operating, world, 3)
    assert operating.world.condition(Kind.DOMAIN, "broken", "Stalled") == ("True", "InvalidSpec")
    assert operating.world.condition(Kind.DOMAIN, "poisoned-fr") == ("False", "DomainAmbiguous")
    assert operating.world.condition(Kind.DOMAIN, "d00002-fr") == ("True", "InSync")


async def test_incident_16_without_its_kinds_nothing_is_revoked_and_ownership_is_resumed(
    operating: Operating, world: MailWorld, unchanged: Unchanged
) -> None:
    """An uninstall took the kinds, and with them every resource: no row changes, then or at the return."""
    await settle_town(operating, world, 3)
    unchanged()
    saved = {kind: dict(found) for kind, found in operating.world.objects.items()}
    for found in operating.world.objects.values():
        found.clear()
    operating.reign.notice()
    for _ in range(3):
        await operating.settle(700)
    await operating.restart()
    for kind, found in operating.world.objects.items():
        found.update({key: {**body, "status": {}} for key, body in saved[kind].items()})
    await operating.settle()
    await operating.wave()
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("True", "InSync")
    assert operating.world.status(Kind.DOMAIN, "d00001-fr")["admins"]["owned"] == 2


@pytest.mark.parametrize("crd", CRDS, ids=lambda crd: crd["spec"]["names"]["kind"])
def test_incident_16_no_kind_needs_a_conversion(crd: Any) -> None:
    """Removed versions and conversion webhooks left objects that nobody could read: one version, stored as served."""
    assert "conversion" not in crd["spec"]
    assert [(version["served"], version["storage"]) for version in crd["spec"]["versions"]] == [(True, True)]


async def test_incident_19_no_reference_reaches_into_another_namespace(
    operating: Operating, world: MailWorld, unchanged: Unchanged
) -> None:
    """A selector read another tenant's Secrets: one attack for each field that refers to something."""
    await settle_town(operating, world, 30)
    operating.source.says["mallory@d00001.fr"] = frozenset({"d00001.fr", "victim.fr"})
    world.domain("victim.fr")
    await operating.settle()
    unchanged()
    borrowed = [{"name": "deploycenter", "namespace": "default"}]
    attack: dict[str, Any] = {"namespace": "tenant", "mode": "Enforce", "sourceRefs": borrowed}
    operating.world.apply(Kind.DOMAIN, "theft", domain="victim.fr", **attack)
    operating.world.apply(Kind.DOMAIN, "squat", domain="d00001.fr", **attack)
    static = {"static": {"grants": [{"email": "u00000-0@d00000.fr", "domains": ["victim.fr"]}]}}
    operating.world.apply(Kind.SOURCE, "mine", namespace="tenant", provider=static)
    operating.world.apply(
        Kind.DOMAIN, "own", namespace="tenant", domain="victim.fr", mode="Enforce", sourceRefs=[{"name": "mine"}]
    )
    operating.source.says.clear()
    await operating.wave()
    hold = operating.world.status(Kind.SOURCE, "deploycenter")["hold"]["id"]
    operating.world.annotate(Kind.SOURCE, ResourceKey("tenant", "mine"), approve=hold)
    operating.world.annotate(Kind.DOMAIN, ResourceKey("tenant", "theft"), approve=hold)
    operating.reign.notice()
    await operating.wave()
    for name in ("theft", "squat", "own"):
        assert operating.world.status(Kind.DOMAIN, name, "tenant")["conditions"][0]["reason"] == "NotAuthorized"
    (source,) = [crd for crd in CRDS if crd["spec"]["names"]["kind"] == "EntitlementSource"]
    assert references(source) == {"name", "key"}, "a Secret is always of the source's own namespace"


def references(crd: Any) -> set[str]:
    """The fields of the references to Secrets."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    center = schema["properties"]["spec"]["properties"]["provider"]["properties"]["deployCenter"]["properties"]
    return {field for name, ref in center.items() if name.endswith("SecretRef") for field in ref["properties"]}


def test_incident_22_the_mode_has_no_default_anywhere() -> None:
    """Chart and binary disagreed about the default: there is none, in the kind, in the model and in the samples."""
    (crd,) = [crd for crd in CRDS if crd["spec"]["names"]["kind"] == "MailDomain"]
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert "mode" in spec["required"]
    assert "default" not in spec["properties"]["mode"]
    body = {"domain": "a.fr", "sourceRefs": [{"name": "x"}]}
    with pytest.raises(ValidationError, match=r"spec\.mode"):
        MailDomain.model_validate(
            {"apiVersion": API_VERSION, "kind": "MailDomain", "metadata": {"name": "a"}, "spec": body}
        )


async def test_incident_22_ready_means_fresh(operating: Operating, world: MailWorld) -> None:
    """An empty source was `Ready`: whoever has had no answer for long enough is not."""
    await settle_town(operating, world, 2)
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("True", "InSync")
    operating.source.instead = down
    for _ in range(4):
        await operating.wave()
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("Unknown", "SourceStale")
    assert operating.world.condition(Kind.SOURCE, "deploycenter")[0] != "True"


@pytest.mark.parametrize("failing", [0, 1, 2, 3])
async def test_incident_23_what_a_status_forgets_is_not_forgotten(
    operating: Operating, world: MailWorld, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Ownership was kept in a status that the framework replaced: here it is data, beside the row that it is about."""
    patch = operating.world.patch_status
    patches = 0

    async def fail_once(*arguments: Any) -> bool:
        nonlocal patches
        patches += 1
        if patches == failing + 1:
            raise ClusterUnavailable("the API server is away")
        return await patch(*arguments)

    monkeypatch.setattr(operating.world, "patch_status", fail_once)
    with pytest.raises(ControllerError):
        await settle_town(operating, world, 2)
    await operating.restart()
    for body in operating.world.objects[Kind.DOMAIN].values():
        body["status"] = {}
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    await operating.settle()
    await operating.wave()
    assert len(rows(world)) == 3
    assert operating.world.status(Kind.DOMAIN, "d00001-fr")["admins"]["owned"] == 1
