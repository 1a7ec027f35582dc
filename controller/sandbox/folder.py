"""What is in a sandbox's folder? A mail database, manifests, and what DeployCenter says."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controller.errors import InvalidInput, Problem
from controller.resources.model import API_VERSION
from controller.sandbox.application import create
from controller.sandbox.scene import API_KEY, SERVICE_ID, opening_scene, write_scene
from controller.sandbox.towns import PIVOT_SIRET, Commune

MANIFESTS = "manifests"
DATABASE = "mail.sqlite3"
DATABASE_URL = f"sqlite:///{DATABASE}"
"""Relative to the folder, where every command of the story is run."""

_SOURCE = "deploycenter"


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything is."""

    path: Path

    @property
    def database(self) -> Path:
        """The mail application's SQLite file."""
        return self.path / DATABASE

    @property
    def scene(self) -> Path:
        """What DeployCenter says."""
        return self.path / "deploycenter.json"


def prepare(path: Path) -> Folder:
    """Make the folder. Raises `InvalidInput` for one that holds something already: it is never overwritten."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        taken = any(path.iterdir())
    except OSError:
        raise InvalidInput(Problem("command line", "--folder", "can't be made", "name another folder")) from None
    if taken:
        raise InvalidInput(Problem("command line", "--folder", "is not empty", "name a new folder"))
    return Folder(path)


def furnish(folder: Folder, communes: Iterable[Commune], *, url: str, port: int) -> None:
    """Fill a folder: database, scene and manifests. `url` is where DeployCenter is served."""
    towns = tuple(communes)
    create(folder.database, towns)
    write_scene(folder.scene, opening_scene(towns, port))
    manifests = folder.path / MANIFESTS
    (manifests / "domains").mkdir(parents=True)
    _write(manifests / "secret.yaml", _secret())
    _write(manifests / "source.yaml", _source(url))
    for town in towns:
        if town.mode is not None:
            _write(manifests / "domains" / f"{town.domain}.yaml", _domain(town, town.mode))


def _secret() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _SOURCE},
        "stringData": {"api-key": API_KEY},
    }


def _source(url: str) -> dict[str, Any]:
    center = {
        "url": url,
        "insecureHTTP": True,
        "serviceId": SERVICE_ID,
        "apiKeySecretRef": {"name": _SOURCE, "key": "api-key"},
        "organization": {"pivotSirets": [PIVOT_SIRET]},
        "timeout": "2s",
        "requestsPerSecond": 500,
    }
    spec = {"provider": {"deployCenter": center}, "confirmRevocations": {"after": "1s"}}
    return {"apiVersion": API_VERSION, "kind": "EntitlementSource", "metadata": {"name": _SOURCE}, "spec": spec}


def _domain(town: Commune, mode: str) -> dict[str, Any]:
    spec = {
        "domain": town.domain,
        "mode": mode,
        "organization": {"siret": town.siret},
        "sourceRefs": [{"name": _SOURCE}],
    }
    return {"apiVersion": API_VERSION, "kind": "MailDomain", "metadata": {"name": town.domain}, "spec": spec}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
