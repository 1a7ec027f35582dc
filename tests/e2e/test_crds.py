"""Does a real API server take the CRDs as they are, refuse what they refuse offline, and show what they promise?"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from controller.resources.documents import KINDS, parse_object
from tests.support.api import Api, ApiError
from tests.support.apiserver import ControlPlane
from tests.support.crd import ROOT, crd
from tests.support.declared import LEAST, MAILDOMAIN, WHOLE, changed
from tests.support.kubectl import Kubectl, KubectlError
from tests.support.refusals import RULES, SHAPES, UNKNOWN, Refused

CRDS = tuple(f"crd/{crd(kind).raw['metadata']['name']}" for kind in KINDS)
NOW = "2026-01-01T00:00:00Z"
UNSEEN = {"observedGeneration": -1}
"""What the API server fills in for an object that the controller has not seen yet."""


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """The administrator of a cluster that knows our kinds. They stay: other tests may have applied them as well."""
    kubectl = control_plane.kubectl
    applied = kubectl.run("apply", "-k", str(ROOT / "crds"))
    assert applied.stderr == "", "the API server warns about a CRD"
    kubectl.run("wait", *CRDS, "--for=condition=Established", "--timeout=60s")
    return kubectl


def title(refused: Refused) -> str:
    return refused.title


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane, kubectl: Kubectl) -> Api:
    """The same server without a process for each object, as strict as kubectl asks it to be."""
    return control_plane.api


def dry_run(api: Api, obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """What would be stored. Nothing is, so that one namespace serves all."""
    spec = crd(obj["kind"]).raw["spec"]
    where = "namespaces/default/" if spec["scope"] == "Namespaced" else ""
    path = f"/apis/{obj['apiVersion']}/{where}{spec['names']['plural']}"
    return api.ask("POST", f"{path}?dryRun=All&fieldValidation=Strict", obj)


def test_all_kinds_are_structural_and_established(kubectl: Kubectl) -> None:
    for name in CRDS:
        found = kubectl.get("crd", name.partition("/")[2])
        assert {
            kind: getattr(found.condition(kind), "status", "absent")
            for kind in ("Established", "NamesAccepted", "NonStructuralSchema")
        } == {
            "Established": "True",
            "NamesAccepted": "True",
            "NonStructuralSchema": "absent",
        }


@pytest.mark.parametrize("refused", RULES, ids=title)
def test_a_rule_refuses_with_our_words(api: Api, refused: Refused) -> None:
    with pytest.raises(ApiError) as error:
        dry_run(api, refused.obj)

    assert f"{refused.path}: " in str(error.value)
    assert refused.words in str(error.value)


@pytest.mark.parametrize("refused", SHAPES, ids=title)
def test_a_shape_is_refused(api: Api, refused: Refused) -> None:
    with pytest.raises(ApiError) as error:
        dry_run(api, refused.obj)

    assert refused.path in str(error.value)
    assert refused.words in str(error.value).lower()


@pytest.mark.parametrize("refused", UNKNOWN, ids=title)
def test_an_unknown_field_is_refused_by_a_strict_client(api: Api, refused: Refused) -> None:
    with pytest.raises(ApiError) as error:
        dry_run(api, refused.obj)

    assert f'{refused.words} "{refused.path}"' in str(error.value)


@pytest.mark.parametrize(
    "obj",
    [*WHOLE.values(), *LEAST.values()],
    ids=[*(f"whole {kind}" for kind in WHOLE), *(f"least {kind}" for kind in LEAST)],
)
def test_the_server_sets_the_defaults_of_the_offline_rules_and_of_the_models(api: Api, obj: dict[str, Any]) -> None:
    stored = dry_run(api, obj)

    model = KINDS[obj["kind"]]
    assert stored["spec"] == crd(obj["kind"]).admitted(obj)["spec"]
    assert parse_object(model, stored, strict=False).spec == parse_object(model, obj, strict=True).spec


def test_the_samples_are_accepted_as_they_are(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(ROOT / "manifests" / "samples", namespace=namespace)

    assert len(kubectl.list("mdom", namespace=namespace)) == 2
    assert len(kubectl.list("mdsrc", namespace=namespace)) == 2
    assert len(kubectl.list("mdrole", namespace=namespace)) == 2
    assert len(kubectl.list("mdrb", namespace=namespace)) == 1


def test_the_domain_can_not_be_changed_and_the_rest_can(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(yaml.safe_dump(MAILDOMAIN), namespace=namespace)
    kubectl.apply(yaml.safe_dump(changed(MAILDOMAIN, "spec", "mode", to="Observe")), namespace=namespace)

    with pytest.raises(KubectlError, match=r"spec\.domain can't be changed"):
        kubectl.apply(yaml.safe_dump(changed(MAILDOMAIN, "spec", "domain", to="x.example")), namespace=namespace)
    assert kubectl.get("mdom", "commune", namespace=namespace).spec["mode"] == "Observe"


def status_of(kind: str) -> dict[str, Any]:
    """A status with every field set."""
    hold = {"id": "h-1", "scope": f"{kind} a/b", "limit": "revocations 50% in 24h", "since": NOW, "count": 2}
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "RevocationsHeld",
        "message": "Held.",
        "lastTransitionTime": NOW,
        "observedGeneration": 1,
    }
    if kind not in ("EntitlementSource", "MailDomain"):
        return {"observedGeneration": 1, "conditions": [ready], **_OTHERS[kind]}
    common = {"observedGeneration": 1, "lastHandledReconcileAt": "now", "hold": hold, "conditions": [ready]}
    if kind == "EntitlementSource":
        counts = dict.fromkeys(("asked", "entitled", "partial", "unknown", "malformed", "unavailable"), 7)
        rounds = {"holders": "8m20s", "everybody": "5h"}
        reachable = ready | {"type": "Reachable", "status": "True", "reason": "Answering"}
        wave = {"startedAt": NOW, "finishedAt": NOW, **counts}
        radius = {"accesses": 7, "domains": 3, "stoppedAfter": 2}
        told = {"wave": wave, "estimatedRound": rounds, "blastRadius": radius, "epoch": 3, "journal": 41}
        return common | told | {"conditions": [ready, reachable]}
    people = ("desired", "actual", "owned", "foreign", "pending", "ambiguous")
    names = (*people, "protected", "contested", "pinned", "denied", "suspected", "held")
    admins = {name: number for number, name in enumerate(names, 11)}
    services = {"members": 3, "allowed": {"drive": 1}, "wouldLose": 2, "wouldGain": 0, "lastRowLeak": 1}
    change = {"time": NOW, "granted": 1, "revoked": 2}
    return common | {"domainID": "d-1", "admins": admins, "serviceAccess": services, "lastChange": change}


_PEOPLE = {"declared": 4, "resolved": 2, "pending": 1, "ambiguous": 1}
_OTHERS: Mapping[str, Mapping[str, Any]] = {
    "CatalogService": {"domains": 3},
    "MailDomainRole": {"bindings": 2},
    "MailDomainRoleBinding": {"subjects": _PEOPLE},
    "MailDomainGroup": {"members": _PEOPLE},
    "MailDomainLink": {
        "roles": [{"upstream": "elected", "downstream": "elected-1", "mapped": 2, "unmapped": ["grist-national"]}],
        "conflicts": ["member"],
        "counts": {"roles": 1, "conflicts": 1, "unmapped": 1},
    },
    "ServiceGroupRestriction": {"denied": 5, "lastRowLeak": 1},
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_status_is_kept_whole_and_only_written_by_its_own_door(kubectl: Kubectl, namespace: str, kind: str) -> None:
    obj, status = WHOLE[kind], status_of(kind)
    kubectl.apply(yaml.safe_dump(obj | {"status": status}), namespace=namespace)
    name = obj["metadata"]["name"]
    assert kubectl.get(kind, name, namespace=namespace).status == UNSEEN

    patch_status(kubectl, namespace, kind, name, status)
    patch_status(kubectl, namespace, kind, name, {"surprise": 1})

    assert kubectl.get(kind, name, namespace=namespace).status == status
    assert set(status) == set(crd(kind).schema["properties"]["status"]["properties"])


@pytest.mark.parametrize(
    ("kind", "header", "row"),
    [
        (
            "MailDomain",
            "NAME DOMAIN MODE READY REASON ADMINS DESIRED HELD AGE",
            "commune commune.example Enforce False RevocationsHeld 12 11 22",
        ),
        (
            "EntitlementSource",
            "NAME READY REASON REACHABLE WAVE HELD AGE",
            "deploycenter False RevocationsHeld True",
        ),
    ],
)
def test_kubectl_get_tells_at_a_glance(kubectl: Kubectl, namespace: str, kind: str, header: str, row: str) -> None:
    obj = WHOLE[kind]
    kubectl.apply(yaml.safe_dump(obj), namespace=namespace)
    patch_status(kubectl, namespace, kind, obj["metadata"]["name"], status_of(kind))

    printed = [line.split() for line in kubectl.run("get", kind, "-n", namespace).stdout.splitlines()]

    assert " ".join(printed[0]) == header
    assert " ".join(printed[1]).startswith(row)


def test_writing_a_restriction_warns_and_names_its_replacement(kubectl: Kubectl, namespace: str) -> None:
    written = kubectl.run("apply", "-n", namespace, "-f", "-", input=yaml.safe_dump(WHOLE["ServiceGroupRestriction"]))

    assert "deprecated: write MailDomainRole and MailDomainRoleBinding" in written.stderr


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("MailDomainRoleBinding", "spec.mailDomainRef"),
        ("MailDomainRoleBinding", "spec.roleRef"),
        ("MailDomainLink", "spec.upstream"),
        ("MailDomainLink", "spec.downstream"),
        ("ServiceGroupRestriction", "spec.mailDomainRef"),
    ],
)
def test_what_an_object_is_about_can_not_be_changed(kubectl: Kubectl, namespace: str, kind: str, path: str) -> None:
    kubectl.apply(yaml.safe_dump(WHOLE[kind]), namespace=namespace)

    with pytest.raises(KubectlError, match=rf"{path} can't be changed"):
        kubectl.apply(yaml.safe_dump(changed(WHOLE[kind], *path.split("."), "name", to="b")), namespace=namespace)


def test_domains_are_found_by_name_and_by_mode(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(ROOT / "manifests" / "samples", namespace=namespace)

    def found(selector: str) -> str:
        return kubectl.run("get", "mdom", "-n", namespace, "--field-selector", selector, "-o", "name").stdout.strip()

    assert found("spec.domain=commune.example") == "maildomain.maildomain.dev/commune-example"
    assert found("spec.mode=Observe") == "maildomain.maildomain.dev/ville-example"


def test_the_category_shows_our_kinds_and_all_shows_none(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(ROOT / "manifests" / "samples", namespace=namespace)

    shown = kubectl.run("get", "maildomain", "-n", namespace, "-o", "name").stdout.split()
    assert {name.partition(".")[0] for name in shown} == {
        "catalogservice",
        "entitlementsource",
        "maildomain",
        "maildomaingroup",
        "maildomainrole",
        "maildomainrolebinding",
    }
    assert "maildomain.dev" not in kubectl.run("get", "all", "-n", namespace, "-o", "name").stdout


@pytest.mark.parametrize(
    "field", ["maildomain.spec.mode", "entitlementsource.spec.provider.deployCenter.url", "maildomain.status.hold"]
)
def test_kubectl_explains_a_field(kubectl: Kubectl, field: str) -> None:
    assert "DESCRIPTION:\n    <empty>" not in kubectl.run("explain", field).stdout


def patch_status(kubectl: Kubectl, namespace: str, kind: str, name: str, status: Mapping[str, Any]) -> None:
    patch = json.dumps({"status": status})
    kubectl.run("patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
