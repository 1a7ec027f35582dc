"""Which objects do tests declare? Valid ones, of which a test changes only what matters to it."""

import copy
from typing import Any

API_VERSION = "maildomain.dev/v1alpha1"

DEPLOY_CENTER: dict[str, Any] = {
    "url": "https://dc.example/api/v1.0/entitlements/",
    "serviceId": 42,
    "apiKeySecretRef": {"name": "deploycenter", "key": "api-key"},
    "organization": {"pivotSirets": ["21590350100017"], "claims": ["siret"]},
    "timeout": "10s",
    "concurrency": 8,
    "requestsPerSecond": 50,
    "metricsPush": "Never",
    "caBundleSecretRef": {"name": "authorities", "key": "ca.crt"},
}
STATIC: dict[str, Any] = {"grants": [{"email": "secours@commune.example", "domains": ["commune.example"]}]}

EXTERNAL: dict[str, Any] = {
    "name": "directory",
    "config": {"base": "ou=communes", "pages": 3},
    "secretRefs": [{"name": "directory", "key": "password"}],
}

SOURCE: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "EntitlementSource",
    "metadata": {"name": "deploycenter"},
    "spec": {
        "interval": "10m",
        "discoveryInterval": "6h",
        "staleAfter": "30m",
        "suspend": False,
        "consumers": [{"namespaces": ["org-1", "*"], "domains": ["commune.example", "*.commune.example"]}],
        "provider": {"deployCenter": DEPLOY_CENTER},
        "confirmRevocations": {"after": "30s"},
        "canaries": [
            {"email": "canari@commune.example", "domains": ["commune.example"]},
            {"email": "personne@commune.example", "domains": []},
        ],
        "limits": {"revocations": {"max": "25%", "window": "24h"}},
    },
}
MAILDOMAIN: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "MailDomain",
    "metadata": {"name": "commune"},
    "spec": {
        "domain": "commune.example",
        "mode": "Enforce",
        "organization": {"siret": "21590350100017"},
        "sourceRefs": [{"name": "deploycenter"}, {"name": "break-glass", "namespace": "platform"}],
        "ownership": "Ledger",
        "adoption": "Matching",
        "protectedAdmins": ["dsi@commune.example"],
        "deniedAdmins": ["parti@commune.example"],
        "limits": {
            "revocations": {"max": 3, "window": "24h"},
            "minAdmins": 1,
            "maxAdmins": 20,
            "adminEmailDomains": ["commune.example"],
        },
        "provisioning": {
            "ensure": "Created",
            "oidcAutojoin": True,
            "identitySync": False,
            "customAttributes": {"siret": "21590350100017", "population": 1200},
        },
        "serviceAccess": {
            "services": [{"name": "drive-nord"}, {"name": "messages-nord"}],
            "defaultRoleRef": {"name": "member"},
            "enforcement": "Audit",
            "unassignedMembers": "DefaultRole",
            "impersonationMode": "Subject",
            "superuserAccess": "All",
            "legacyGroupRestrictions": "Disabled",
            "allowedDownstreams": [{"namespace": "org-1", "name": "*"}, {"namespace": "org-2", "name": "ville"}],
        },
        "suspend": False,
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "CatalogService",
    "metadata": {"name": "drive-nord"},
    "spec": {
        "type": "drive",
        "active": True,
        "upstreamRef": {"name": "drive-national"},
        "subscription": {"sourceRef": {"namespace": "platform", "name": "drive"}, "probeEmail": "probe@dsi.example"},
    },
}
ROLE: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "MailDomainRole",
    "metadata": {"name": "elected"},
    "spec": {
        "serviceAccess": {"mode": "Selected", "services": ["messages-nord", "drive-nord"]},
        "impersonation": {
            "mode": "Selected",
            "subjects": [{"kind": "User", "email": "standard@commune.example"}, {"kind": "Group", "name": "desk"}],
        },
        "upstreamRef": {"name": "elected", "uid": "5f0c0a3e-0000-4000-8000-000000000001"},
    },
}
BINDING: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "MailDomainRoleBinding",
    "metadata": {"name": "elected-commune"},
    "spec": {
        "mailDomainRef": {"name": "commune"},
        "roleRef": {"name": "elected"},
        "subjects": [{"kind": "User", "email": "maire@commune.example"}, {"kind": "Group", "name": "deputies"}],
    },
}
GROUP: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "MailDomainGroup",
    "metadata": {"name": "deputies"},
    "spec": {"members": ["adjointe@commune.example"]},
}
LINK: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "MailDomainLink",
    "metadata": {"name": "from-national"},
    "spec": {
        "upstream": {"namespace": "national", "name": "model"},
        "downstream": {"name": "commune"},
        "roles": {"matchNames": ["elected", "*"]},
        "serviceMapping": {
            "byUpstreamRef": True,
            "overrides": [{"upstream": "docs-national", "downstream": "docs-nord"}],
        },
        "localServices": "Keep",
        "conflictPolicy": "Refuse",
    },
}
RESTRICTION: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": "ServiceGroupRestriction",
    "metadata": {"name": "commune"},
    "spec": {
        "mailDomainRef": {"name": "commune"},
        "restrict": True,
        "groups": [{"service": "drive-nord", "group": "accounts"}],
    },
}
WHOLE = {obj["kind"]: obj for obj in (SOURCE, MAILDOMAIN, SERVICE, ROLE, BINDING, GROUP, LINK, RESTRICTION)}
"""Each kind with every field set."""

LEAST: dict[str, dict[str, Any]] = {
    "EntitlementSource": SOURCE | {"spec": {"provider": {"local": {}}}},
    "MailDomain": MAILDOMAIN
    | {"spec": {"domain": "commune.example", "mode": "Observe", "sourceRefs": [{"name": "deploycenter"}]}},
    "CatalogService": SERVICE | {"spec": {"type": "drive"}},
    "MailDomainRole": ROLE | {"spec": {"serviceAccess": {"mode": "None"}}},
    "MailDomainRoleBinding": BINDING
    | {
        "spec": {
            "mailDomainRef": {"name": "commune"},
            "roleRef": {"name": "elected"},
            "subjects": [{"kind": "Group", "name": "deputies"}],
        }
    },
    "MailDomainGroup": GROUP | {"spec": {"members": []}},
    "MailDomainLink": LINK
    | {"spec": {"upstream": {"namespace": "national", "name": "model"}, "downstream": {"name": "commune"}}},
    "ServiceGroupRestriction": RESTRICTION | {"spec": {"mailDomainRef": {"name": "commune"}, "restrict": True}},
}
"""Each kind with what it requires and no more."""

Step = str | int


class Absent:
    """Instead of a value: the field is removed."""


def changed(obj: dict[str, Any], *steps: Step, to: object) -> dict[str, Any]:
    """A copy with another value at `steps`, such as `("spec", "sourceRefs", 0, "name")`; missing mappings are made."""
    result = copy.deepcopy(obj)
    place: Any = result
    for step in steps[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if to is not Absent:
        place[steps[-1]] = copy.deepcopy(to)
    elif isinstance(place, dict):
        place.pop(steps[-1], None)
    else:
        del place[steps[-1]]
    return result
