"""How does a test run the operator? As a subprocess, as a pod would, under the ServiceAccount of manifests/."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.api import Api
from tests.support.apiserver import LOOPBACK, ControlPlane, ProcessGroup
from tests.support.privacy import revealed

ROOT = Path(__file__).parents[2]
NAMESPACE = "maildomain-system"
NAME = "maildomain-controller"
API_NAME = "maildomain-provisioning"
READS_SECRETS = "maildomain-controller-secrets"
RBAC = "rbac.authorization.k8s.io"
ROLES = f"/apis/{RBAC}/v1/namespaces/{{}}/roles"
BINDINGS = f"/apis/{RBAC}/v1/namespaces/{{}}/rolebindings"
OWNER = "test"
START = 60.0
STOP = 30.0


class OperatorError(Exception):
    """The operator ended, or did not get there in time; the text ends with the tail of its log."""


def install(control_plane: ControlPlane) -> Path:
    """Apply manifests/ and return a kubeconfig of its ServiceAccount. May be repeated; what it made stays."""
    kubectl = control_plane.kubectl
    kubectl.apply(ROOT / "manifests")
    kinds = (f"crd/{plural}.maildomain.dev" for plural in ("entitlementsources", "maildomains"))
    kubectl.run("wait", *kinds, "--for=condition=Established", "--timeout=60s")
    return control_plane.service_account_kubeconfig(NAMESPACE, NAME)


def install_api(control_plane: ControlPlane) -> Path:
    """Apply manifests/provisioning/ and return a kubeconfig of its ServiceAccount. May be repeated."""
    control_plane.kubectl.apply(ROOT / "manifests" / "provisioning")
    return control_plane.service_account_kubeconfig(NAMESPACE, API_NAME)


def let_read_secrets(control_plane: ControlPlane, namespace: str) -> None:
    """What each further namespace of MDC_SOURCE_NAMESPACES needs: the Role and RoleBinding of manifests/."""
    admit(control_plane.api, READS_SECRETS, NAME, namespace)


def let_declare(control_plane: ControlPlane, namespace: str) -> None:
    """What each further namespace of a template needs: the Role and RoleBinding of manifests/provisioning/."""
    admit(control_plane.api, API_NAME, API_NAME, namespace)


def admit(api: Api, role: str, account: str, namespace: str) -> None:
    """Give one of our service accounts the same Role in one namespace more."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": role}
    rules = api.ask("GET", f"{ROLES.format(NAMESPACE)}/{role}")["rules"]
    named = {"metadata": {"name": role}}
    api.ask("POST", ROLES.format(namespace), named | {"rules": rules})
    api.ask("POST", BINDINGS.format(namespace), named | {"subjects": [subject], "roleRef": reference})


class OperatorProcess:
    """One replica. It never outlives the test run; its log is one JSON object a line, and names nobody.

    `kubeconfig` is who it is for the API server, `settings` are further environment variables. `before` is Python that
    runs first in its process.
    """

    command: tuple[str, ...] = ("run",)
    announces = "probes"
    """The message that names the port."""

    def __init__(self, folder: Path, kubeconfig: Path, database_url: str, *, before: str = "", **settings: str) -> None:
        self.log = folder / f"operator-{time.monotonic_ns()}.log"
        self._before = before
        self._kubeconfig = kubeconfig
        self._environment = self._environ(database_url, settings)
        self._group = ProcessGroup()
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        measured = self._measured() if failure is None else ""
        self._group.kill()
        if self._process is not None:
            self._process.wait()
        if failure is None:
            assert not (named := revealed(self.text() + measured)), f"log or metrics name {named}"

    def start(self) -> None:
        """Start it; nothing is awaited."""
        run = (
            ["-c", f"{self._before}\nfrom controller.cli.main import main; main()"]
            if self._before
            else ["-m", "controller"]
        )
        self._process = self._group.start([sys.executable, *run, *self.command], log=self.log, env=self._environment)

    def wait_ready(self, answer: str = "leading", timeout: float = START) -> None:
        """Until `/readyz` answers 200 with `leading` or `standby`. Raises OperatorError."""
        self.wait_for("/readyz", answer, timeout=timeout)

    def wait_for(self, path: str, answer: str, timeout: float = START) -> None:
        """Until a path answers 200 with this text. Raises OperatorError."""
        deadline = time.monotonic() + timeout
        while self.get(path) != (200, answer):
            if self.running.poll() is not None:
                raise OperatorError(f"the operator ended with {self.running.returncode}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise OperatorError(f"{path} is not {answer} after {timeout:.0f} s: {self.get(path)}\n{self.tail()}")
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, str] | None:
        """Status and text of one of its probes, or None while it does not answer."""
        port = self.port
        if port is None:
            return None
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return None
        finally:
            connection.close()

    def wait_text(self, text: str, timeout: float = START) -> None:
        """Until it has written this. Raises OperatorError."""
        deadline = time.monotonic() + timeout
        while text not in self.text():
            if self.running.poll() is not None or time.monotonic() > deadline:
                raise OperatorError(f"the operator never says {text!r}\n{self.tail()}")
            time.sleep(0.02)

    def metric(self, name: str, **labels: str) -> float | None:
        """One sample of `/metrics`, without the prefix, or None while it is not there."""
        answer = self.get("/metrics")
        written = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        wanted = f"maildomain_{name}{{{written}}} " if written else f"maildomain_{name} "
        lines = (answer[1] if answer else "").splitlines()
        return next((float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)), None)

    def _measured(self) -> str:
        """Its metrics, while it runs."""
        runs = self._process is not None and self._process.poll() is None
        answer = self.get("/metrics") if runs else None
        return answer[1] if answer is not None else ""

    def terminate(self, timeout: float = STOP) -> int:
        """Ask it to end, as the kubelet does, and return its exit code. Raises OperatorError."""
        self.running.terminate()
        return self.wait(timeout)

    def wait(self, timeout: float = STOP) -> int:
        """Until it has ended by itself; its exit code. Raises OperatorError."""
        try:
            return self.running.wait(timeout)
        except subprocess.TimeoutExpired:
            raise OperatorError(f"the operator runs after {timeout:.0f} s\n{self.tail()}") from None

    def kill(self) -> None:
        """End it as a lost node does: nothing is given back."""
        self.running.kill()
        self.running.wait()

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The process, started before."""
        assert self._process is not None, "start() comes first"
        return self._process

    @property
    def port(self) -> int | None:
        """The port of its probes, or None while it has none."""
        if self._port is None:
            self._port = next(
                (entry["port"] for entry in self.entries() if entry.get("message") == self.announces), None
            )
        return self._port

    def entries(self) -> list[dict[str, Any]]:
        """Its log so far; lines that are no JSON, such as an error of the command line, are left out."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]

    def text(self) -> str:
        """Everything that it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 30) -> str:
        return f"--- the end of {self.log}\n" + "\n".join(self.text().splitlines()[-lines:])

    def _environ(self, database_url: str, settings: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_RUNTIME_DIR") if name in os.environ}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(self._kubeconfig),
            "MDC_DATABASE_URL": database_url,
            "MDC_OWNER": OWNER,
            "MDC_HEALTH_PORT": "0",
            "MDC_LOG_FORMAT": "json",
            "POD_NAMESPACE": NAMESPACE,
            **settings,
        }


class ApiProcess(OperatorProcess):
    """The API, as a pod of manifests/provisioning/ runs it."""

    announces = "serving"

    def __init__(self, folder: Path, kubeconfig: Path, database_url: str, *options: str, **settings: str) -> None:
        super().__init__(folder, kubeconfig, database_url, MDC_API_PORT="0", **settings)
        self.command = ("serve", *options)

    @property
    def address(self) -> str:
        """Where it is reached, once it serves."""
        return f"http://{LOOPBACK}:{self.port}"
