"""Where does an end-to-end test live? In a town: a namespace, a mail database, a DeployCenter and its operators."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from controller.sandbox.deploycenter import Account, Double, Organization, World
from tests.support.apiserver import ControlPlane
from tests.support.database import MailWorld, fresh_database
from tests.support.kubectl import Kubectl, Resource
from tests.support.operator import OperatorProcess, let_read_secrets
from tests.support.privacy import KEY, SUB
from tests.support.roles import least_privileged

SIRET = "21590350100017"
DATABASE_ROLE = "mdc_e2e_controller"
"""As whom operators and commands reach the database: under the shipped GRANTS and nothing else."""
DEADLINE = 60.0


class Replica(Protocol):
    """Starts an operator that works in the town, under settings of its own if any."""

    def __call__(self, *, ready: str | None = "leading", before: str = "", **settings: str) -> OperatorProcess: ...


@dataclass
class Town:
    """One namespace with its mail database, its DeployCenter and its operators."""

    kubectl: Kubectl
    namespace: str
    mail: MailWorld
    reached: str
    """The URL by which its operators reach the mail database."""
    center: Double
    url: str
    start: Replica
    """Start a replica and wait until it is `ready`, as `/readyz` says it; None waits for nothing."""
    pokes: int = 0

    def grow(self, domains: int, admins: int = 2) -> None:
        """Domains with users; DeployCenter entitles the first `admins` of each."""
        names = [f"d{number:03d}.example" for number in range(domains)]
        self.center.world.organizations.append(Organization(SIRET, "Commune", {"domains": names}))
        for name in names:
            self.mail.domain(name)
            for place in range(admins + 1):
                email = f"u{place}@{name}"
                self.mail.user(email)
                if place < admins:
                    self.center.world.accounts.append(Account(email, SIRET, links={"admin": {"domains": [name]}}))
        self.mail.execute("UPDATE messages_user SET sub = :prefix || id", prefix=SUB)

    def declare(self, domains: int, **source: object) -> None:
        """Apply the Secret, the source and a MailDomain each."""
        self.apply(*self.declaration(domains, **source))

    def declaration(self, domains: int, **source: object) -> list[dict[str, Any]]:
        """The Secret, the source and a MailDomain each."""
        return [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "dc"}, "stringData": {"key": KEY}},
            self.source(**source),
            *(self.maildomain(f"d{number:03d}.example") for number in range(domains)),
        ]

    def source(self, **spec: object) -> dict[str, Any]:
        """The source that asks the double."""
        provider = {
            "url": self.url,
            "insecureHTTP": True,
            "serviceId": 1,
            "apiKeySecretRef": {"name": "dc", "key": "key"},
            "organization": {"pivotSirets": [SIRET]},
            "requestsPerSecond": 500,
            "timeout": "5s",
        }
        body = {
            "interval": "10m",
            "confirmRevocations": {"after": "1s"},
            "provider": {"deployCenter": provider},
            **spec,
        }
        return manifest("EntitlementSource", "dc", body)

    def maildomain(self, domain: str, **spec: object) -> dict[str, Any]:
        """A MailDomain in Enforce mode."""
        body = {"domain": domain, "mode": "Enforce", "sourceRefs": [{"name": "dc"}], **spec}
        return manifest("MailDomain", domain.replace(".", "-"), body)

    def apply(self, *items: Mapping[str, object]) -> None:
        """What a person or a pipeline does."""
        self.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), namespace=self.namespace)

    def wait(self, resource: str, what: str) -> None:
        """`kubectl wait`."""
        self.kubectl.wait(resource, what, namespace=self.namespace, timeout=int(DEADLINE))

    def ready(self) -> None:
        """Until every domain is Ready."""
        self.kubectl.run(
            "wait", "maildomains", "--all", "--for=condition=Ready", f"--timeout={DEADLINE:.0f}s", "-n", self.namespace
        )

    def poke(self) -> None:
        """Ask the source to ask everybody now, and wait for the outcome."""
        self.pokes += 1
        value = f"poke-{self.pokes}"
        self.kubectl.run(
            "annotate", "mdsrc/dc", f"maildomain.dev/requestedAt={value}", "--overwrite", "-n", self.namespace
        )
        self.wait("mdsrc/dc", f"jsonpath={{.status.lastHandledReconcileAt}}={value}")

    def rows(self) -> list[str]:
        """Every access, as text."""
        return self.mail.rows_of("messages_maildomainaccess")

    def get(self, kind: str, name: str) -> Resource:
        """One object."""
        return self.kubectl.get(kind, name, namespace=self.namespace)

    def ready_of(self, kind: str, name: str) -> tuple[str, str]:
        """Status and reason of Ready."""
        condition = self.get(kind, name).condition("Ready")
        assert condition is not None
        return condition.status, condition.reason

    def versions(self) -> dict[str, str]:
        """The resource version of every MailDomain: it changes with each write."""
        return {item.name: item.resource_version for item in self.kubectl.list("maildomains", namespace=self.namespace)}


def manifest(kind: str, name: str, spec: Mapping[str, object]) -> dict[str, Any]:
    """An object of our group."""
    return {"apiVersion": "maildomain.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@contextmanager
def founded(
    control_plane: ControlPlane,
    kubeconfig: Path,
    namespace: str,
    folder: Path,
    *,
    database: AbstractContextManager[str] | None = None,
    through: Callable[[str], AbstractContextManager[str]] = nullcontext,
) -> Iterator[Town]:
    """A namespace with everything beside it; its operators reach the database `through` something, or directly."""
    let_read_secrets(control_plane, namespace)
    center = Double(World([], [], api_key=KEY))
    with ExitStack() as stack:
        url = stack.enter_context(database or fresh_database("postgresql", folder))
        reached = stack.enter_context(through(least_privileged(url, DATABASE_ROLE)))
        endpoint = stack.enter_context(center.serve_in_thread())

        def start(*, ready: str | None = "leading", before: str = "", **settings: str) -> OperatorProcess:
            where = {"MDC_NAMESPACES": namespace, "MDC_SOURCE_NAMESPACES": namespace} | settings
            running = stack.enter_context(OperatorProcess(folder, kubeconfig, reached, before=before, **where))
            if ready is not None:
                running.wait_ready(ready)
            return running

        yield Town(control_plane.kubectl, namespace, MailWorld(url), reached, center, endpoint, start)


def eventually(fact: Callable[[], bool]) -> None:
    """Wait for something that nobody reports."""
    deadline = time.monotonic() + DEADLINE
    while not fact():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
