"""How are manifests written that people go on with? Objects of this group, and the options that name them."""

from typing import Annotated, Any

import typer

from controller.resources.model import API_VERSION

SourceName = Annotated[
    str,
    typer.Option("--source", metavar="NAME", help="The EntitlementSource that the MailDomains name."),
]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="The namespace of the manifests.")]


def declared(kind: str, name: str, namespace: str | None, spec: dict[str, Any]) -> dict[str, Any]:
    """One object of this group."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata(name, namespace), "spec": spec}


def metadata(name: str, namespace: str | None) -> dict[str, str]:
    """Name, and the namespace when one is named."""
    return {"name": name} | ({"namespace": namespace} if namespace else {})
