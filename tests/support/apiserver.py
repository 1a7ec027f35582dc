"""Which Kubernetes does a test talk to? A real kube-apiserver with its etcd, on loopback, in a folder of its own.

There is no controller-manager beside them: nothing collects garbage, finishes the deletion of a namespace or runs
a pod. `ControlPlane.delete_namespace` does by itself what a test needs of that.
"""

import contextlib
import http.client
import json
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.envtest import build
from tests.support.api import Api, ApiError
from tests.support.kubectl import Kubectl, kubeconfig
from tests.support.privacy import revealed

LOOPBACK = "127.0.0.1"
ADMIN_TOKEN = "the-administrator-of-the-tests"
START_DEADLINE = 90.0
STOP_DEADLINE = 20.0


class AssetsMissingError(Exception):
    """There is nothing to run; the text says what to do."""


class StartError(Exception):
    """A server ended or did not answer in time; the text ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class Assets:
    """The three programs."""

    kube_apiserver: Path
    etcd: Path
    kubectl: Path

    @classmethod
    def find(cls) -> Self:
        """`KUBEBUILDER_ASSETS`, else what `tests/envtest/build.py` built; kubectl from there, else from PATH."""
        folder = build.find()
        if folder is None:
            raise AssetsMissingError("no kube-apiserver and etcd: run `make envtest` or set KUBEBUILDER_ASSETS")
        kubectl = shutil.which("kubectl", path=folder) or shutil.which("kubectl")
        if kubectl is None:
            raise AssetsMissingError(f"no kubectl, neither in {folder} nor on PATH")
        return cls(folder / "kube-apiserver", folder / "etcd", Path(kubectl))


class ProcessGroup:
    """Processes that never outlive the test run, however that ends.

    Their group is led by a shell that waits on a pipe from us and kills the group when the pipe closes: also after a
    SIGKILL of pytest, which cleans up nothing. A Ctrl-C reaches pytest only, which then stops them in order.
    """

    def __init__(self) -> None:
        self._leader = subprocess.Popen(
            ["/bin/sh", "-c", "read -r _; kill -KILL 0"], stdin=subprocess.PIPE, process_group=0
        )

    def start(self, command: list[str], *, log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start one, in the folder of its log, with our environment unless `env` is another."""
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env=env,
                process_group=self._leader.pid,
            )

    def kill(self) -> None:
        """End whatever still runs."""
        assert self._leader.stdin is not None
        self._leader.stdin.close()
        self._leader.wait()


class ControlPlane:
    """An API server with RBAC whose only user, at first, is an administrator.

    `folder` takes data, certificates and logs; they are left there for whoever reads them after a failure.
    """

    def __init__(self, assets: Assets, folder: Path) -> None:
        self.folder = folder
        self._assets = assets
        self._reserved = [reserved_port(), reserved_port()]
        self._port, self._etcd_port = (port_of(reserved) for reserved in self._reserved)
        self._group = ProcessGroup()
        self._etcd: subprocess.Popen[bytes] | None = None
        self._api_server: subprocess.Popen[bytes] | None = None
        self._tokens = 0
        self.api: Api = Api(LOOPBACK, self._port, ADMIN_TOKEN, self.ca_file)
        """The administrator without the start of a process."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self._port}"

    @property
    def ca_file(self) -> Path:
        return self._certificates / "apiserver.crt"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.folder / "admin.kubeconfig"

    @property
    def kubectl(self) -> Kubectl:
        """The cluster as its administrator."""
        return self.kubectl_as(self.admin_kubeconfig)

    def kubectl_as(self, config: Path) -> Kubectl:
        return Kubectl(self._assets.kubectl, config)

    def kubeconfig(self, token: str, *, namespace: str = "default") -> Path:
        """A kubeconfig, readable by its owner only, of whoever `token` stands for."""
        self._tokens += 1
        path = self.folder / f"{self._tokens}.kubeconfig"
        return kubeconfig(path, server=self.url, ca_file=self.ca_file, token=token, namespace=namespace)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig of an existing service account, with a token that lives as long as the tests may last."""
        token = self.kubectl.run("create", "token", name, "-n", namespace, "--duration=12h").stdout.strip()
        return self.kubeconfig(token, namespace=namespace)

    def start(self) -> None:
        """Both servers, ready: the API server answers `/readyz` and has made its own namespaces."""
        self._etcd = self._group.start(self._etcd_command(), log=self._etcd_log)
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{ADMIN_TOKEN},admin,admin,"system:masters"\n', encoding="utf-8")
        self._start_api_server()
        kubeconfig(self.admin_kubeconfig, server=self.url, ca_file=self.ca_file, token=ADMIN_TOKEN, namespace="default")

    @contextlib.contextmanager
    def namespace(self, prefix: str = "test") -> Iterator[str]:
        """A namespace with a name that was never used, while the body runs; afterwards it is gone with all it held.

        Gone are then our objects of the cluster as well whose names end with its own.

        What our statuses in it and in the cluster, and the events in it, have told then must name nobody.
        """
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.create_namespace(name)
        try:
            yield name
            assert not (named := revealed(self.told_in(name))), f"statuses or events name {named}"
        finally:
            self.delete_namespace(name)

    def create_namespace(self, name: str) -> None:
        self.api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace and all it holds, as the namespace controller would: close it, empty it, finalize it."""
        path = f"/api/v1/namespaces/{name}"
        self.api.ask("DELETE", path)
        for collection in self.api.namespaced():
            with gone():
                self.api.ask("DELETE", collection.format(name))
        for collection in self.api.clustered():
            for found in self._found(collection) if "/maildomain.dev/" in collection else ():
                if found["metadata"]["name"].endswith(f"-{name}"):
                    self.api.ask("DELETE", f"{collection}/{found['metadata']['name']}")
        self.api.ask("PUT", f"{path}/finalize", {"metadata": {"name": name}, "spec": {"finalizers": []}})

    def told_in(self, namespace: str) -> str:
        """The statuses of our objects, those of the cluster included, and the events of one namespace.

        What people have declared is theirs to show.
        """
        told: list[object] = []
        for collection in (*self.api.namespaced(), *self.api.clustered()):
            events = collection.endswith("/events")
            if events or "/maildomain.dev/" in collection:
                found = self._found(collection.format(namespace))
                told += [item if events else item.get("status") for item in found]
        return json.dumps(told)

    def _found(self, collection: str) -> list[dict[str, Any]]:
        """All of a collection; nothing of a kind that is deleted itself. Waits for the storage of one that is new."""
        deadline = time.monotonic() + START_DEADLINE
        while True:
            try:
                found: list[dict[str, Any]] = self.api.ask("GET", collection)["items"]
            except ApiError as error:
                if error.code == http.HTTPStatus.NOT_FOUND:
                    return []
                if error.code != http.HTTPStatus.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return found

    def restart(self) -> None:
        """A new API server process on the same address, with the same data, keys and certificate."""
        with self.outage():
            pass

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """No API server while the body runs: connections are refused, watches have ended."""
        self._stop_api_server()
        try:
            yield
        finally:
            self._start_api_server()

    def stop(self) -> None:
        """End both servers and drop etcd's data. May be called again, and after a start that failed."""
        self.api.close()
        self._stop_api_server()
        if self._etcd is not None:
            end(self._etcd)
            self._etcd = None
        self._group.kill()
        for reserved in self._reserved:
            reserved.close()
        shutil.rmtree(self._data, ignore_errors=True)

    def _start_api_server(self) -> None:
        self._api_server = self._group.start(self._api_server_command(), log=self._api_server_log)
        deadline = time.monotonic() + START_DEADLINE
        while not self._is_ready():
            for name, process in {"etcd": self._etcd, "kube-apiserver": self._api_server}.items():
                if process is not None and process.poll() is not None:
                    raise StartError(f"{name} ended with {process.returncode}\n{self._log_tails()}")
            if time.monotonic() > deadline:
                raise StartError(f"kube-apiserver is not ready after {START_DEADLINE:.0f} s\n{self._log_tails()}")
            time.sleep(0.1)

    def _stop_api_server(self) -> None:
        if self._api_server is not None:
            end(self._api_server)
            self._api_server = None

    def _is_ready(self) -> bool:
        # `default` is made by a controller that /readyz does not wait for.
        return all(self._answers(path) for path in ("/readyz", "/api/v1/namespaces/default"))

    def _answers(self, path: str) -> bool:
        if not self.ca_file.exists():
            return False
        # http.client, because it alone knows nothing of proxies.
        try:
            trust = ssl.create_default_context(cafile=self.ca_file)
            with contextlib.closing(
                http.client.HTTPSConnection(LOOPBACK, self._port, timeout=5, context=trust)
            ) as http_:
                http_.request("GET", path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
                return http_.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def _etcd_command(self) -> list[str]:
        clients = f"http://{LOOPBACK}:{self._etcd_port}"
        return [
            str(self._assets.etcd),
            f"--data-dir={self._data}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls=http://{LOOPBACK}:0",
            "--socket-reuse-port",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _api_server_command(self) -> list[str]:
        # The API server makes its TLS key before it reads the others, so that one key serves for all and none is ours.
        key = self._certificates / "apiserver.key"
        return [
            str(self._assets.kube_apiserver),
            f"--etcd-servers=http://{LOOPBACK}:{self._etcd_port}",
            f"--secure-port={self._port}",
            "--permit-port-sharing",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={self._certificates}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--disable-admission-plugins=ServiceAccount",
        ]

    @property
    def _certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def _data(self) -> Path:
        return self.folder / "etcd"

    @property
    def _etcd_log(self) -> Path:
        return self.folder / "etcd.log"

    @property
    def _api_server_log(self) -> Path:
        return self.folder / "kube-apiserver.log"

    def _log_tails(self, lines: int = 20) -> str:
        return "\n".join(
            f"--- the end of {log}\n"
            + "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
            for log in (self._etcd_log, self._api_server_log)
        )


@contextlib.contextmanager
def gone() -> Iterator[None]:
    """A kind that is deleted itself has nothing left."""
    try:
        yield
    except ApiError as error:
        if error.code != http.HTTPStatus.NOT_FOUND:
            raise


def reserved_port() -> socket.socket:
    """A socket that keeps a free port from everybody but a server that shares it; by itself it answers nobody."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((LOOPBACK, 0))
    return holder


def port_of(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and end it when it does not."""
    process.terminate()
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
