"""Does `kubectl apply -k manifests/` install everything, with no more rights than it needs?"""

import tomllib

import pytest

from controller.resources.documents import Document, parse_documents
from controller.settings import Settings
from tests.support.crd import KINDS, ROOT, crd
from tests.support.manifests import Manifest, rendered

SAMPLES = ROOT / "manifests" / "samples"
PLURALS = [crd(kind).raw["spec"]["names"]["plural"] for kind in KINDS]


@pytest.fixture(scope="module")
def install() -> list[Manifest]:
    return rendered("manifests")


def the(kind: str, install: list[Manifest]) -> Manifest:
    [found] = [manifest for manifest in install if manifest["kind"] == kind]
    return found


def pod(install: list[Manifest]) -> Manifest:
    found: Manifest = the("Deployment", install)["spec"]["template"]
    return found


def containers(install: list[Manifest]) -> list[Manifest]:
    spec = pod(install)["spec"]
    return [*spec["initContainers"], *spec["containers"]]


def test_one_command_installs_everything(install: list[Manifest]) -> None:
    assert sorted(manifest["kind"] for manifest in install) == [
        *["ClusterRole"] * 2,
        *["ClusterRoleBinding"] * 2,
        *["CustomResourceDefinition"] * len(KINDS),
        "Deployment",
        "Namespace",
        "NetworkPolicy",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
    ]
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace"}
    namespaces = {manifest["metadata"].get("namespace") for manifest in install if manifest["kind"] not in cluster_wide}
    assert namespaces == {the("Namespace", install)["metadata"]["name"]} == {"maildomain-system"}


def test_the_crds_are_those_of_the_folder(install: list[Manifest]) -> None:
    installed = {
        manifest["spec"]["names"]["kind"]: manifest for manifest in install if "Definition" in manifest["kind"]
    }

    assert {kind: crd(kind).raw["spec"] for kind in installed} == {kind: installed[kind]["spec"] for kind in installed}


def test_the_operator_may_see_what_is_declared_and_say_what_came_of_it_and_no_more(install: list[Manifest]) -> None:
    allowed = {
        (group, resource, verb)
        for role in install
        if role["kind"] == "ClusterRole"
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert allowed == {
        *(("maildomain.dev", plural, verb) for plural in PLURALS for verb in ("list", "watch")),
        *(("maildomain.dev", f"{plural}/status", "patch") for plural in PLURALS),
        ("", "events", "create"),
    }


def test_secrets_are_read_by_name_in_the_own_namespace_only(install: list[Manifest]) -> None:
    assert the("Role", install)["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]


@pytest.mark.parametrize("scope", ["Cluster", ""])
def test_rights_are_bound_to_the_one_service_account(install: list[Manifest], scope: str) -> None:
    account = the("ServiceAccount", install)["metadata"]
    roles = [item["metadata"]["name"] for item in install if item["kind"] == f"{scope}Role"]
    bindings = [item for item in install if item["kind"] == f"{scope}RoleBinding"]

    assert [(item["roleRef"]["kind"], item["roleRef"]["name"]) for item in bindings] == [
        (f"{scope}Role", name) for name in roles
    ]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    assert all(item["subjects"] == [subject] for item in bindings)
    assert pod(install)["spec"]["serviceAccountName"] == account["name"]


def test_the_pod_meets_the_restricted_standard_that_its_namespace_enforces(install: list[Manifest]) -> None:
    assert the("Namespace", install)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    whole = pod(install)["spec"]["securityContext"]
    assert (whole["runAsNonRoot"], whole["runAsUser"] > 0, whole["seccompProfile"]) == (
        True,
        True,
        {"type": "RuntimeDefault"},
    )
    for container in containers(install):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, container["name"]
        assert {"requests", "limits"} <= container["resources"].keys(), container["name"]


def test_the_tables_are_migrated_before_the_operator_runs(install: list[Manifest]) -> None:
    migrate, run = containers(install)

    assert (migrate["name"], migrate["args"], run["name"], run["args"]) == ("migrate", ["migrate"], "run", ["run"])
    assert migrate["env"] == run["env"]
    assert the("Deployment", install)["spec"]["replicas"] == 1
    assert the("Deployment", install)["spec"]["strategy"] == {"type": "Recreate"}


def test_every_variable_is_a_setting_and_the_url_is_read_from_a_mounted_secret(install: list[Manifest]) -> None:
    run = containers(install)[1]
    given = {variable["name"]: variable.get("value") for variable in run["env"]}
    settings = {str(field.validation_alias or f"MDC_{name.upper()}") for name, field in Settings.model_fields.items()}

    assert given.keys() <= settings
    assert given["MDC_OWNER"]
    assert given["MDC_LOG_FORMAT"] == "json"
    assert given["POD_NAMESPACE"] is None, "taken from the pod"
    mounts = {mount["name"]: mount["mountPath"] for mount in run["volumeMounts"]}
    assert given["MDC_DATABASE_URL_FILE"] == f"{mounts['database']}/url"
    [secret] = [volume["secret"] for volume in pod(install)["spec"]["volumes"] if volume["name"] == "database"]
    assert (secret["secretName"], secret["items"]) == ("maildomain-database", [{"key": "url", "path": "url"}])


def test_probes_and_metrics_are_reached_on_the_one_port(install: list[Manifest]) -> None:
    run = containers(install)[1]
    labels = pod(install)["metadata"]["labels"]
    [port] = run["ports"]
    policy = the("NetworkPolicy", install)["spec"]

    assert port == {"containerPort": Settings.model_fields["health_port"].default, "name": "http"}
    assert run["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert run["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert the("Service", install)["spec"]["selector"].items() <= labels.items()
    assert the("Deployment", install)["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": 8080, "protocol": "TCP"}]]


def test_the_pod_reaches_names_the_api_the_database_and_https_only(install: list[Manifest]) -> None:
    policy = the("NetworkPolicy", install)["spec"]
    ports = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert ports == {("UDP", 53), ("TCP", 53), ("TCP", 443), ("TCP", 6443), ("TCP", 5432)}


def test_the_image_is_this_version(install: list[Manifest]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert {container["image"] for container in containers(install)} == {f"{project['name']}:{project['version']}"}


def test_everything_of_ours_is_labelled(install: list[Manifest]) -> None:
    for manifest in install:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "maildomain-controller", manifest["kind"]
        assert labels["app.kubernetes.io/part-of"] == "maildomain-controller", manifest["kind"]


# --- samples ----------------------------------------------------------------------------------------------------------


def test_the_samples_are_accepted_by_the_schemas_and_by_file_mode() -> None:
    files = sorted(SAMPLES.glob("*.yaml"))
    declared = parse_documents([Document(file.name, file.read_text(encoding="utf-8")) for file in files])

    assert sorted(domain.spec.mode for domain in declared.domains) == ["Enforce", "Observe"]
    assert [source.key.name for source in declared.sources] == ["break-glass", "deploycenter"]
    for manifest in rendered("manifests/samples"):
        if manifest["apiVersion"].startswith("maildomain.dev/"):
            assert crd(manifest["kind"]).refusals(manifest) == [], manifest["metadata"]["name"]


def test_the_samples_fit_together() -> None:
    files = sorted(SAMPLES.glob("*.yaml"))
    declared = parse_documents([Document(file.name, file.read_text(encoding="utf-8")) for file in files])
    sources = {source.key: source for source in declared.sources}

    for domain in declared.domains:
        assert all(sources[key].serves("default", domain.domain) for key in domain.source_keys)
    deploy_center = sources[declared.sources[1].key].spec.provider.deploy_center
    assert deploy_center is not None
    [secret] = declared.secrets
    assert secret.key.name == deploy_center.api_key_secret_ref.name
    assert secret.value(deploy_center.api_key_secret_ref.key)


def test_the_samples_name_no_namespace() -> None:
    assert all("namespace" not in manifest["metadata"] for manifest in rendered("manifests/samples"))
