"""What does a MailDomain look like that the API makes? The installer's template, and what a request asks for."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from controller.errors import InvalidInput, Problem
from controller.provisioning.wanted import Wanted
from controller.resources.documents import Document, parse_documents
from controller.resources.kubeyaml import Content, read_yaml
from controller.resources.maildomain import Mode
from controller.resources.model import API_VERSION, PROVISIONED_ANNOTATION
from controller.resources.names import DomainName

_OURS = ("domain", "organization")
_METADATA = frozenset({"namespace", "labels", "annotations"})
_EXAMPLE = DomainName("commune.example")

Part = Mapping[str, Any]
"""An object, or the part of it that was applied by the API."""


class Template:
    """What every MailDomain that is made here has in common."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self.namespace: str = part["metadata"].get("namespace", "default")

    def made(self, domain: DomainName, wanted: Wanted) -> dict[str, Any]:
        """A new object. It is named after its domain: a canonical name is a name for Kubernetes too."""
        obj = deepcopy(dict(self._part))
        obj["metadata"] = {**obj["metadata"], "namespace": self.namespace, "name": str(domain)}
        obj["metadata"]["annotations"] = {**obj["metadata"].get("annotations", {}), PROVISIONED_ANNOTATION: "true"}
        obj["spec"] = {"domain": str(domain), "mode": Mode.OBSERVE.value, **obj["spec"]}
        return overlaid(obj, wanted)


def read_template(file: Path) -> Template:
    """Read the installer's file: a MailDomain without a name. `Observe` unless it says otherwise.

    Raises `InvalidInput`.
    """
    where = "environment"
    remedy = "write one MailDomain without metadata.name, spec.domain and spec.organization"
    try:
        contents = list(read_yaml(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(Problem(where, "MDC_PROVISIONING_TEMPLATE", "names no readable file", remedy)) from None
    match contents:
        case [Content(value={"kind": "MailDomain", "spec": dict(spec), **rest})] if not spec.keys() & set(_OURS):
            metadata = rest.get("metadata") or {}
        case _:
            raise InvalidInput(Problem(str(file), "", "is no template of a MailDomain", remedy))
    if not isinstance(metadata, dict) or metadata.keys() - _METADATA:
        found = "names more than a namespace, labels and annotations"
        raise InvalidInput(Problem(str(file), "metadata", found, remedy))
    version = rest.get("apiVersion")
    template = Template({"apiVersion": version, "kind": "MailDomain", "metadata": metadata, "spec": spec})
    example = template.made(_EXAMPLE, Wanted(domains=[str(_EXAMPLE)]))
    parse_documents([Document(str(file), yaml.safe_dump(example))])
    return template


def overlaid(part: Part, wanted: Wanted) -> dict[str, Any]:
    """The same with what is asked for. What is not asked for stays (against A-74)."""
    spec = deepcopy(dict(part.get("spec", {})))
    provisioning = dict(spec.get("provisioning", {}))
    if wanted.siret is not None:
        spec["organization"] = {"siret": wanted.siret}
    if wanted.oidc_autojoin is not None:
        provisioning["oidcAutojoin"] = wanted.oidc_autojoin
    if wanted.identity_sync is not None:
        provisioning["identitySync"] = wanted.identity_sync
    if wanted.attributes:
        provisioning["customAttributes"] = {**provisioning.get("customAttributes", {}), **wanted.attributes}
    if provisioning:
        spec["provisioning"] = provisioning
    return {"apiVersion": API_VERSION, "kind": "MailDomain", **part, "spec": spec}


def siret_of(spec: Part) -> str | None:
    """Whose domain an object declares, in either place."""
    attributes = spec.get("provisioning", {}).get("customAttributes", {})
    found = spec.get("organization", {}).get("siret") or attributes.get("siret")
    return str(found) if found else None
