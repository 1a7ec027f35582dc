"""How does a test speak to the cluster? As a user does, with kubectl, and reads what it prints as typed values."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 60.0


class KubectlError(Exception):
    """kubectl ended with another code than 0; the text is its command line and what it said."""

    def __init__(self, command: tuple[str, ...], result: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"kubectl {' '.join(command)}: exit {result.returncode}\n{result.stderr}{result.stdout}")
        self.stderr = result.stderr


@dataclass(frozen=True, slots=True)
class Condition:
    """One of `status.conditions`; `status` is True, False or Unknown, as text."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Resource:
    """One object of the cluster as it was when it was read."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def resource_version(self) -> str:
        return str(self.raw["metadata"]["resourceVersion"])

    @property
    def spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.raw.get("spec", {})
        return spec

    @property
    def status(self) -> Mapping[str, Any]:
        status: Mapping[str, Any] = self.raw.get("status", {})
        return status

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, or None while there is none."""
        return next(
            (
                Condition(found["type"], found["status"], found.get("reason", ""), found.get("message", ""))
                for found in self.status.get("conditions", [])
                if found["type"] == kind
            ),
            None,
        )


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl as one user: `config` says which server and who. Nothing of the caller's own set-up has a say."""

    binary: Path
    config: Path

    def run(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - as subprocess.run names it
        check: bool = True,
        timeout: float = PATIENCE,
    ) -> subprocess.CompletedProcess[str]:
        """Run it; `timeout` in seconds. Raises KubectlError, unless `check` is False."""
        result = subprocess.run(
            [str(self.binary), *args],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(self.config.parent),
                "KUBECONFIG": str(self.config),
                "KUBECACHEDIR": str(self.config.parent / "kubectl-cache"),
            },
        )
        if check and result.returncode != 0:
            raise KubectlError(args, result)
        return result

    def apply(self, what: str | Path, *, namespace: str | None = None) -> None:
        """Apply YAML text, a file or a folder (with `-k` where it holds a kustomization)."""
        self._with_manifests("apply", what, *in_namespace(namespace))

    def delete(self, what: str | Path, *, namespace: str | None = None) -> None:
        """Delete what these manifests name, as far as it is there, and wait until it is gone.

        A Namespace among them never goes: there is no controller for that. `ControlPlane.delete_namespace` goes first.
        """
        self._with_manifests("delete", what, *in_namespace(namespace), "--ignore-not-found", f"--timeout={PATIENCE}s")

    @contextlib.contextmanager
    def applied(self, what: str | Path, *, namespace: str | None = None) -> Iterator[None]:
        """Applied while the body runs, then deleted: for cluster-scoped objects, which no namespace takes along."""
        try:
            self.apply(what, namespace=namespace)
            yield
        finally:
            self.delete(what, namespace=namespace)

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Resource:
        found = self.run("get", kind, name, *in_namespace(namespace), "-o", "json")
        return Resource(json.loads(found.stdout))

    def list(self, kind: str, *, namespace: str | None = None, selector: str = "") -> list[Resource]:
        """All of a kind in one namespace, or in all when none is named."""
        where = in_namespace(namespace) or ["--all-namespaces"]
        found = self.run("get", kind, *where, "--selector", selector, "-o", "json")
        return [Resource(item) for item in json.loads(found.stdout)["items"]]

    def wait(self, what: str, condition: str, *, namespace: str | None = None, timeout: float = PATIENCE) -> None:
        """Until `what` (kind/name) is as `--for=CONDITION` says, such as `condition=Ready`; `timeout` in seconds."""
        arguments = [what, f"--for={condition}", f"--timeout={timeout}s", *in_namespace(namespace)]
        self.run("wait", *arguments, timeout=timeout + PATIENCE)

    def _with_manifests(self, verb: str, what: str | Path, *options: str) -> None:
        if isinstance(what, str):
            self.run(verb, "-f", "-", *options, input=what)
        elif (what / "kustomization.yaml").exists():
            self.run(verb, "-k", str(what), *options)
        else:
            self.run(verb, "-f", str(what), *options)


def in_namespace(namespace: str | None) -> list[str]:
    return [] if namespace is None else ["-n", namespace]


def kubeconfig(path: Path, *, server: str, ca_file: Path, token: str, namespace: str) -> Path:
    """Write a kubeconfig of one user of one cluster, readable by its owner only."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
