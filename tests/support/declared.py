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
    "metricsPush": "Auto",
    "caBundleSecretRef": {"name": "authorities", "key": "ca.crt"},
}
STATIC: dict[str, Any] = {"grants": [{"email": "secours@commune.example", "domains": ["commune.example"]}]}

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
        "limits": {"revocations": {"max": 3, "window": "24h"}, "minAdmins": 1, "maxAdmins": 20},
        "provisioning": {
            "ensure": "Created",
            "oidcAutojoin": True,
            "identitySync": False,
            "customAttributes": {"siret": "21590350100017", "population": 1200},
        },
        "suspend": False,
    },
}
WHOLE = {"EntitlementSource": SOURCE, "MailDomain": MAILDOMAIN}
"""Each kind with every field set."""

LEAST: dict[str, dict[str, Any]] = {
    "EntitlementSource": SOURCE | {"spec": {"provider": {"local": {}}}},
    "MailDomain": MAILDOMAIN
    | {"spec": {"domain": "commune.example", "mode": "Observe", "sourceRefs": [{"name": "deploycenter"}]}},
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
