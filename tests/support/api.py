"""How does a test speak to the API server where kubectl is not what it is about? Over one connection, in JSON."""

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT = 30.0


class ApiError(Exception):
    """The API server says no; the text is what it says."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Api:
    """One user of one server. A new connection where the old one has ended: the server may have been restarted."""

    host: str
    port: int
    token: str
    ca_file: Path
    _connection: http.client.HTTPSConnection | None = field(default=None, init=False)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """One request and what comes back. Raises `ApiError`."""
        content = None if body is None else json.dumps(body)
        sent = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", **headers}
        sent |= {} if body is None else {"Content-Type": "application/json"}
        try:
            response = self._answered(method, path, content, sent)
        except (http.client.HTTPException, OSError):
            self.close()
            response = self._answered(method, path, content, sent)
        text = response.read().decode()
        if response.status >= 400:
            said = json.loads(text) if text.startswith("{") else {"message": text}
            raise ApiError(response.status, str(said.get("message")))
        answer: dict[str, Any] = json.loads(text)
        return answer

    def namespaced(self) -> Iterator[str]:
        """The path of each kind that lives in namespaces and can be deleted there, with `{}` for the namespace."""
        for base, kind in self._kinds():
            if kind["scope"] == "Namespaced":
                yield f"{base}/namespaces/{{}}/{kind['resource']}"

    def clustered(self) -> Iterator[str]:
        """The path of each kind of the cluster whose objects can be deleted."""
        for base, kind in self._kinds():
            if kind["scope"] == "Cluster":
                yield f"{base}/{kind['resource']}"

    def _kinds(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        for root in ("/api", "/apis"):
            for group in self.ask("GET", root, Accept=wanted)["items"]:
                name = group["metadata"].get("name", "")
                version = group["versions"][0]
                base = "/".join(part for part in (root, name, version["version"]) if part)
                yield from ((base, kind) for kind in version["resources"] if "deletecollection" in kind["verbs"])

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def _answered(
        self, method: str, path: str, content: str | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            trust = ssl.create_default_context(cafile=self.ca_file)
            self._connection = http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT, context=trust)
        self._connection.request(method, path, content, dict(headers))
        return self._connection.getresponse()
