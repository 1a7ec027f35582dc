"""What do the tests of the command line run? The program as users do, beside a mail database and a DeployCenter."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.main import execute
from controller.cli.opening import FILE_OWNER
from controller.sandbox.deploycenter import Account, Double, Organization, World
from tests.support.database import MailWorld, bare_url, dialect, fresh_database

__all__ = ["bare_url", "dialect"]

ROOT = Path(__file__).parents[2]
API_VERSION = "maildomain.dev/v1alpha1"
PIVOT = "21990000000012"


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """Run the program in a process of its own, in an empty folder, with no settings but those given."""

    def start(*arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Ran:
        done = subprocess.run(
            command(*arguments),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=clean_environment() | dict(env or {}),
            timeout=50,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return start


def command(*arguments: str) -> list[str]:
    """The command line of the program, with warnings as errors."""
    return [sys.executable, "-W", "error", "-m", "controller", *arguments]


def clean_environment() -> dict[str, str]:
    """An environment without settings of this machine."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process, which is quick, in an empty folder."""
    for name in [name for name in os.environ if name.startswith(("MDC_", "KUBE", "SENTRY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)

    def start(*arguments: str) -> Ran:
        capsys.readouterr()
        code = execute(arguments)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return start


@pytest.fixture
def deploycenter() -> Iterator[Double]:
    """A DeployCenter that knows the pivot alone; `town` adds to it."""
    world = World([Organization(PIVOT, "Syndicat")], [], api_key="key-of-the-test")
    double = Double(world)
    with double.serve_in_thread() as url:
        double.redirect_to = url
        yield double


@dataclass
class Town:
    """One mail database, what DeployCenter says about its people, and manifests."""

    mail: MailWorld
    double: Double
    url: str
    """Of DeployCenter."""
    folder: Path

    def domain(self, name: str, *, there: bool = True, declared: bool = True, **spec: Any) -> str:
        """Add a domain to DeployCenter, the mail database and the manifests, Enforce unless said otherwise."""
        self.double.world.organizations.append(Organization(name, f"Commune {name}", {"domains": [name]}))
        if declared:
            body = {"domain": name, "mode": "Enforce", "sourceRefs": [{"name": "deploycenter"}], **spec}
            self.declare("MailDomain", name, body)
        return self.mail.domain(name) if there else ""

    def person(self, email: str, *domains: str, **user: Any) -> str:
        """Add a user who is entitled to these domains."""
        self.entitle(email, *domains)
        return self.mail.user(email, **user)

    def entitle(self, email: str, *domains: str) -> None:
        """Let DeployCenter say that the person administers exactly these."""
        world = self.double.world
        world.accounts = [account for account in world.accounts if account.email != email]
        world.accounts += [Account(email, domain, ("admin",)) for domain in domains]

    def source(self, **spec: Any) -> None:
        """Declare the source; suspects are asked again at once."""
        center = {
            "url": self.url,
            "insecureHTTP": True,
            "serviceId": self.double.world.service_id,
            "apiKeySecretRef": {"name": "deploycenter", "key": "api-key"},
            "organization": {"pivotSirets": [PIVOT]},
            "requestsPerSecond": 1000,
            "timeout": "2s",
        }
        body = {"provider": {"deployCenter": center}, "confirmRevocations": {"after": "0s"}, **spec}
        self.declare("EntitlementSource", "deploycenter", body)

    def declare(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        """Write one manifest."""
        write(self.folder / f"{kind}-{name}.yaml", kind, name, spec)


def write(path: Path, kind: str, name: str, spec: dict[str, Any]) -> None:
    """Write one object."""
    path.parent.mkdir(exist_ok=True, parents=True)
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    path.write_text(yaml.safe_dump(document))


@pytest.fixture
def database_url(dialect: str, tmp_path: Path) -> Iterator[str]:
    """A database as `migrate` leaves it for files."""
    with fresh_database(dialect, tmp_path, owner=FILE_OWNER) as url:
        yield url


@pytest.fixture
def town(database_url: str, deploycenter: Double, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Town:
    """A migrated mail database, empty but for what the test adds; the commands find it by the environment."""
    monkeypatch.setenv("MDC_DATABASE_URL", database_url)
    folder = tmp_path / "manifests"
    made = Town(MailWorld(database_url), deploycenter, deploycenter.redirect_to, folder)
    made.source()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "deploycenter"}}
    (folder / "secret.yaml").write_text(yaml.safe_dump(secret | {"stringData": {"api-key": "key-of-the-test"}}))
    return made
