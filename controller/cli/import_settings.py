"""`import-settings`: the source that the mail application's own settings describe, and what to set there instead."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from controller.cli.application_settings import (
    BACKEND,
    DEPLOY_CENTER_BACKEND,
    LOCAL_BACKEND,
    PARAMETERS,
    Backend,
    read_assignments,
    read_backend,
)
from controller.cli.console import emit, warn
from controller.cli.manifests import Namespace, SourceName, declared, metadata
from controller.errors import InvalidInput, Problem
from controller.resources.documents import parse_source

KEY = "api-key"
"""Where the API key stands in the Secret."""
TIMEOUT_AT_MOST = 120
"""Seconds."""

_KNOWN = frozenset({"base_url", "service_id", "api_key", "timeout", "oidc_claims"})

EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="A file of NAME=VALUE lines, instead of the environment."),
]


def import_settings(
    *, env_file: EnvFile = None, source: SourceName = "deploycenter", namespace: Namespace = None
) -> None:
    """Write the EntitlementSource and the Secret that ENTITLEMENTS_BACKEND and its PARAMETERS amount to.

    The Secret holds the API key. What to set in the mail application next to this controller stands above them: with
    its own backend at work each would undo the other. Exit codes: 0, 2 the environment can't be used, 6 the file can't.
    """
    where = str(env_file) if env_file is not None else "environment"
    backend = read_backend(_variables(env_file), where)
    if backend.path == LOCAL_BACKEND:
        warn("the mail application asks nobody: the source is local and knows nothing; give it a provider")
        objects = [declared("EntitlementSource", source, namespace, {"provider": {"local": {}}})]
    elif backend.path == DEPLOY_CENTER_BACKEND:
        objects = list(_deploy_center(backend, source, namespace, where))
    else:
        remedy = "declare an external provider (docs/providers.md)"
        raise InvalidInput(Problem(where, BACKEND, "names a backend that is not known", remedy))
    emit(_HINT + yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True))


_HINT = f"""\
# In the mail application, so that its login sync changes no administrator:
#   {BACKEND}={LOCAL_BACKEND}
#   {PARAMETERS}='{{}}'
"""


def _variables(file: Path | None) -> Mapping[str, str]:
    if file is None:
        return os.environ
    try:
        return read_assignments(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(Problem(str(file), "", "is no readable text", "name a file of NAME=VALUE lines")) from None


def _deploy_center(backend: Backend, name: str, namespace: str | None, where: str) -> Iterator[dict[str, Any]]:
    parameters = backend.parameters
    missing = sorted({"base_url", "service_id", "api_key"} - parameters.keys())
    if missing:
        problems = (Problem(where, f"{PARAMETERS}.{item}", "is missing", "add it") for item in missing)
        raise InvalidInput(*problems)
    for unknown in sorted(map(str, parameters.keys() - _KNOWN)):
        warn(f"{PARAMETERS}.{unknown} is left out: it means nothing here")
    url, claims = parameters["base_url"], parameters.get("oidc_claims") or []
    center = {
        "url": url,
        **({"insecureHTTP": True} if str(url).startswith("http://") else {}),
        "serviceId": _number(parameters["service_id"]),
        "apiKeySecretRef": {"name": name, "key": KEY},
        **({"organization": {"claims": claims}} if claims else {}),
        **_timeout(parameters.get("timeout")),
    }
    if "siret" not in claims:
        warn("no siret is sent, and DeployCenter opens no answer without one: add organization.pivotSirets")
    described = declared("EntitlementSource", name, namespace, {"provider": {"deployCenter": center}})
    _require_usable(described, where)
    yield described
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, namespace),
        "stringData": {KEY: _text(parameters["api_key"], where)},
    }


def _require_usable(described: dict[str, Any], where: str) -> None:
    """Let the source's own rules judge, and say where the value came from."""
    try:
        parse_source(described, strict=True)
    except InvalidInput as error:
        raise InvalidInput(*(Problem(where, item.path, item.found, item.remedy) for item in error.problems)) from None


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


def _text(value: object, where: str) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise InvalidInput(Problem(where, f"{PARAMETERS}.api_key", "is no text", "write the key of the service"))


def _timeout(value: object) -> dict[str, str]:
    """Whole seconds within what a source may wait; the default when it says none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return {}
    seconds = min(max(1, math.ceil(value)), TIMEOUT_AT_MOST)
    if seconds != value:
        warn(f"{PARAMETERS}.timeout becomes {seconds}s")
    return {"timeout": f"{seconds}s"}
