"""What does the Kubernetes API hold, and what do we tell it? Objects by pages, statuses, Secrets by name, Events.

All methods go through one client. Vendor exceptions end here, and nothing that came over the wire is ever logged.
"""

import asyncio
import base64
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import structlog
from kubernetes.aio.client import ApiClient, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException

from controller.cluster.applying import Applied, outcome_of_refusal
from controller.cluster.connecting import Access, access_of, open_client
from controller.cluster.fields import unknown_to
from controller.cluster.patching import merge_patch
from controller.cluster.refusals import (
    EXPIRED,
    FORBIDDEN,
    NO_ANSWER,
    TEMPORARY,
    converted,
    is_of_one_object,
    retry_after,
)
from controller.cluster.rights import ALL, Right, excessive_rights, needed_rights
from controller.errors import ClusterUnavailable, SecretMissing
from controller.observability.metrics import Metrics
from controller.resources.model import API_VERSION, GROUP, VERSION, Kind
from controller.resources.names import DomainName, ResourceKey

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")
Read = TypeVar("Read")

PAGE = 500
"""Objects of one page of a list."""
RESTARTS = 3
"""How often a list starts again because its continue token has expired."""
AT_ONCE = 20
"""Status patches that are under way at a time."""
TIMEOUT = 30.0
"""Seconds that one request may take."""
PAUSES = (0.2, 0.6, 1.8)
"""Seconds before a request is sent again, at most; `Retry-After` lengthens them."""
COMPONENT = "maildomain-controller"

_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"


@asynccontextmanager
async def connected(
    namespaces: Collection[str], source_namespaces: Collection[str], metrics: Metrics
) -> "AsyncIterator[Cluster]":
    """The cluster, through one client that is closed at the end.

    `namespaces` are those whose MailDomains are listed; none means the whole cluster. Raises `InvalidInput` when
    nothing says where the API server is.
    """
    async with await open_client() as client:
        yield Cluster(client, namespaces, source_namespaces, metrics)


class Cluster:
    """The Kubernetes API, as the loop needs it (the `World` of the engine)."""

    def __init__(
        self, client: ApiClient, namespaces: Collection[str], source_namespaces: Collection[str], metrics: Metrics
    ) -> None:
        self._client = client
        self._objects = CustomObjectsApi(client)
        self._namespaces = frozenset(namespaces)
        self._source_namespaces = frozenset(source_namespaces)
        self._metrics = metrics
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._reporter = socket.gethostname()[:128]

    async def access(self) -> Access:
        """How somebody else speaks to the same API server as the same user. Raises `OSError` for a lost token file."""
        return await access_of(self._client.configuration)

    async def require_lists(self) -> None:
        """See whether the kinds are there and may be listed. Raises `ClusterUnavailable` or `NotAuthorized`."""
        await self._require(*Kind)

    async def require_domains(self) -> None:
        """See whether MailDomains are there and may be listed. Raises `ClusterUnavailable` or `NotAuthorized`."""
        await self._require(Kind.DOMAIN)

    async def _require(self, *kinds: Kind) -> None:
        for kind in kinds:
            for namespace in self._places(kind):
                try:
                    await self._page(kind, namespace, limit=1)
                except ApiException as refusal:
                    raise converted(refusal, "list", _described(kind, namespace)) from None

    async def missing_rights(self) -> list[Right]:
        """What RBAC does not allow us and we need. Raises `ClusterUnavailable` or `NotAuthorized`."""
        needed = needed_rights(self._namespaces, self._source_namespaces)
        return [right for right, allowed in await self._reviewed(needed) if not allowed]

    async def excessive_rights(self) -> list[Right]:
        """What RBAC allows us and no operator needs. Raises `ClusterUnavailable` or `NotAuthorized`."""
        if await self._may(ALL):
            return [ALL]
        dangerous = excessive_rights(self._namespaces, self._source_namespaces)
        return [right for right, allowed in await self._reviewed(dangerous) if allowed]

    async def unknown_fields(self) -> list[str]:
        """The kinds and the fields that we need of them and the API server does not know: its CRDs are older.

        Raises `ClusterUnavailable` or `NotAuthorized`.
        """
        try:
            return list(unknown_to(await self._ask("get", lambda: self._get(f"/openapi/v3/apis/{GROUP}/{VERSION}"))))
        except ApiException as refusal:
            raise converted(refusal, "get", f"{GROUP}/{VERSION}") from None

    async def list_objects(self, kind: Kind) -> list[dict[str, Any]]:
        """Every object of a kind where we look for it, complete or not at all.

        Raises `ClusterUnavailable` or `NotAuthorized`.
        """
        return await self.read_objects(kind, dict)

    async def read_objects(self, kind: Kind, read: Callable[[Mapping[str, Any]], Read]) -> list[Read]:
        """What `read` makes of every object of a kind where we look for it, complete or not at all.

        A list of ten thousand is never held as a whole, and reading it leaves the event loop to others. Raises
        `ClusterUnavailable` or `NotAuthorized`.
        """
        return [found for namespace in self._places(kind) for found in await self._list(kind, namespace, read)]

    def looks_at(self, kind: Kind, namespace: str | None) -> bool:
        """Whether lists show the objects of a kind in this namespace."""
        places = self._places(kind)
        return None in places or namespace in places

    async def generations(self, kind: Kind, namespace: str | None = None) -> dict[str, dict[str, int]]:
        """The generation of every object of a kind now, by namespace and uid; no object travels for it.

        Of one namespace, or wherever we look for the kind. Raises `ClusterUnavailable` or `NotAuthorized`.
        """
        found: dict[str, dict[str, int]] = {}
        for place in self._places(kind) if namespace is None else (namespace,):
            try:
                async for metadata in self._metadata(kind, place):
                    place_of = found.setdefault(metadata.get("namespace", ""), {})
                    place_of[metadata["uid"]] = metadata.get("generation", 0)
            except ApiException as refusal:
                raise converted(refusal, "list", _described(kind, place)) from None
        return found

    async def _metadata(self, kind: Kind, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        within = f"namespaces/{namespace}/" if namespace is not None else ""
        path, token = f"/apis/{GROUP}/{VERSION}/{within}{kind.value}", ""
        while True:
            query = [("limit", str(PAGE)), *([("continue", token)] if token else [])]
            match await self._ask("list", partial(self._get, path, accept=_METADATA, query=query)):
                case {"kind": "PartialObjectMetadataList", "items": list() | None as items, "metadata": dict(metadata)}:
                    # It writes null where there are none.
                    for item in items or ():
                        yield item["metadata"]
                    token = metadata.get("continue") or ""
                case _:
                    raise ClusterUnavailable(f"what answers for the API server has no list of {kind.value}.{GROUP}")
            if not token:
                return

    async def read_object(self, kind: Kind, key: ResourceKey) -> dict[str, Any] | None:
        """One object, or None when it is not there. Raises `ClusterUnavailable` or `NotAuthorized`."""

        async def request() -> Any:
            return await self._objects.get_namespaced_custom_object(
                GROUP, VERSION, key.namespace, kind.value, key.name, _request_timeout=TIMEOUT
            )

        try:
            found: dict[str, Any] = await self._ask("get", request)
        except ApiException as refusal:
            if refusal.status == 404:
                return None
            raise converted(refusal, "get", f"{kind}.{GROUP}") from None
        return found

    async def find_domains(self, domain: DomainName) -> list[dict[str, Any]]:
        """The MailDomains that claim this name, wherever we look for them, found by the API server.

        Raises `ClusterUnavailable` or `NotAuthorized`.
        """
        found: list[dict[str, Any]] = []
        for namespace in self._places(Kind.DOMAIN):
            try:
                items, _ = await self._page(Kind.DOMAIN, namespace, limit=PAGE, field_selector=f"spec.domain={domain}")
            except ApiException as refusal:
                raise converted(refusal, "list", _described(Kind.DOMAIN, namespace)) from None
            found += items
        return found

    async def apply(self, kind: Kind, obj: Mapping[str, Any], *, manager: str) -> Applied:
        """Apply an object by server-side apply as this field manager, and never by force.

        `metadata.resourceVersion`, where it is given, has to be that of the object. Raises `ClusterUnavailable` or
        `NotAuthorized`.
        """
        key = ResourceKey(obj["metadata"]["namespace"], obj["metadata"]["name"])

        async def request() -> Applied:
            answer = await self._objects.patch_namespaced_custom_object_with_http_info(
                GROUP,
                VERSION,
                key.namespace,
                kind.value,
                key.name,
                dict(obj),
                field_manager=manager,
                field_validation="Strict",
                _content_type=_APPLY_PATCH,
                _request_timeout=TIMEOUT,
            )
            return Applied.CREATED if answer.status_code == 201 else Applied.CHANGED

        try:
            return await self._ask("apply", request, again=TEMPORARY - {409})
        except ApiException as refusal:
            if (outcome := outcome_of_refusal(refusal)) is not None:
                return outcome
            raise converted(refusal, "patch", _described(kind, key.namespace)) from None

    async def patch_status(
        self, kind: Kind, key: ResourceKey, status: Mapping[str, Any], before: Mapping[str, Any]
    ) -> bool:
        """Write the difference between two statuses; without one nothing is sent.

        False when it can't be written to this object: it is gone, or the API server finds the status invalid, which is
        logged and says nothing about other objects. Raises `ClusterUnavailable` or `NotAuthorized`.
        """
        patch = merge_patch(before, status)
        if not patch:
            return True
        try:
            async with self._slots:
                await self._ask("patch", lambda: self._patch_status(kind, key, {"status": patch}))
        except ApiException as refusal:
            if refusal.status == 404:
                return False
            if is_of_one_object(refusal):
                log.warning("status_refused", kind=kind.singular, object=str(key), code=refusal.status)
                return False
            raise converted(refusal, "patch", f"{kind}/status.{GROUP}") from None
        return True

    async def annotate(self, kind: Kind, key: ResourceKey, uid: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of an object of this uid by server-side apply; everything else of it stays whoever's it is.

        Raises `ClusterUnavailable`, also when the object is gone, or `NotAuthorized`.
        """
        body = {
            "apiVersion": API_VERSION,
            "kind": kind.singular,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid, "annotations": dict(annotations)},
        }

        def request() -> Awaitable[Any]:
            return self._objects.patch_namespaced_custom_object(
                GROUP,
                VERSION,
                key.namespace,
                kind.value,
                key.name,
                body,
                field_manager=f"{COMPONENT}-approve",
                force=True,
                _content_type=_APPLY_PATCH,
                _request_timeout=TIMEOUT,
            )

        try:
            await self._ask("patch", request)
        except ApiException as refusal:
            raise converted(refusal, "patch", _described(kind, key.namespace)) from None

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """One Secret by name, decoded.

        Raises `SecretMissing` when it is not there or may not be read, `ClusterUnavailable`, or `NotAuthorized` when
        the API server does not know us.
        """

        async def request() -> dict[str, bytes]:
            path = "/api/v1/namespaces/{namespace}/secrets/{name}"
            return _decoded(await self._get(path, namespace=namespace, name=name))

        try:
            # The API server may have learned its rules between the refusal and the question whether it is ready.
            return await self._ask("get", request, again=TEMPORARY | {FORBIDDEN})
        except ApiException as refusal:
            if refusal.status in (FORBIDDEN, 404):
                found = "is not there" if refusal.status == 404 else "may not be read"
                raise SecretMissing(f"Secret {namespace}/{name} {found}") from None
            raise converted(refusal, "get", "secrets") from None

    async def post_event(
        self, kind: Kind, key: ResourceKey, uid: str, *, reason: str, note: str, warning: bool
    ) -> None:
        """Post an Event on one object. It is sent once; failing to is logged and no error."""
        # Events of the cluster's own objects stand where kubectl looks for them.
        namespace = key.namespace or "default"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        about = {"apiVersion": API_VERSION, "kind": kind.singular, "name": key.name}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{key.name}.", "namespace": namespace},
            "involvedObject": about | _given(namespace=key.namespace, uid=uid),
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": note,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._reporter,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._ask(
                "create",
                lambda: self._create("/api/v1/namespaces/{namespace}/events", event, namespace=namespace),
                pauses=(),
            )
        except (ApiException, ClusterUnavailable) as error:
            log.warning("event_not_posted", object=str(key), reason=reason, code=getattr(error, "status", None))

    # --- rights ---

    async def _reviewed(self, rights: Iterable[Right]) -> list[tuple[Right, bool]]:
        asked = list(rights)
        return list(zip(asked, await asyncio.gather(*map(self._may, asked)), strict=True))

    async def _may(self, right: Right) -> bool:
        """Ask the API server, which everybody may do about themselves."""
        resource, _, subresource = right.resource.partition("/")
        attributes = _given(
            verb=right.verb, group=right.group, resource=resource, subresource=subresource, namespace=right.namespace
        )
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        try:
            async with self._slots:
                answer = await self._ask(
                    "create",
                    lambda: self._create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review),
                )
        except ApiException as refusal:
            raise converted(refusal, "create", "selfsubjectaccessreviews") from None
        match answer:
            case {"status": {"allowed": True}}:
                return True
            case _:
                return False

    # --- lists ---

    def _places(self, kind: Kind) -> Sequence[str | None]:
        """The namespaces in which we look for a kind; None is the whole cluster."""
        if not self._namespaces or not kind.namespaced:
            return (None,)
        return sorted(self._namespaces | (self._source_namespaces if kind is Kind.SOURCE else frozenset()))

    async def _list(self, kind: Kind, namespace: str | None, read: Callable[[Mapping[str, Any]], Read]) -> list[Read]:
        for _ in range(RESTARTS + 1):
            try:
                return await self._pages(kind, namespace, read)
            except ApiException as refusal:
                if refusal.status != EXPIRED:
                    raise converted(refusal, "list", _described(kind, namespace)) from None
        raise ClusterUnavailable(f"lists of {_described(kind, namespace)} expire before their last page")

    async def _pages(self, kind: Kind, namespace: str | None, read: Callable[[Mapping[str, Any]], Read]) -> list[Read]:
        found: list[Read] = []
        token: str | None = None
        while True:
            items, token = await self._page(kind, namespace, limit=PAGE, token=token)
            found += await asyncio.to_thread(lambda page: [read(item) for item in page], items)
            if token is None:
                return found

    async def _page(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        limit: int,
        token: str | None = None,
        field_selector: str | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """One page and the token of the next. An answer that is no list is never taken for an empty one."""
        options: dict[str, Any] = {
            "limit": limit,
            "_continue": token,
            "field_selector": field_selector,
            "_request_timeout": TIMEOUT,
        }

        def request() -> Awaitable[Any]:
            if namespace is None:
                return self._objects.list_cluster_custom_object(GROUP, VERSION, kind.value, **options)
            return self._objects.list_namespaced_custom_object(GROUP, VERSION, namespace, kind.value, **options)

        match await self._ask("list", request):
            case {"items": list(items), "metadata": dict(metadata)}:
                return items, metadata.get("continue") or None
            case _:
                raise ClusterUnavailable(f"what answers for the API server has no list of {kind.value}.{GROUP}")

    # --- requests ---

    async def _patch_status(self, kind: Kind, key: ResourceKey, body: Mapping[str, Any]) -> None:
        """Ten thousand of these are a start: what comes back, the whole object, is not even decoded."""
        path = f"/apis/{GROUP}/{VERSION}/{'namespaces/{namespace}/' if kind.namespaced else ''}{{kind}}/{{name}}/status"
        names = _given(namespace=key.namespace, kind=kind.value, name=key.name)
        headers = {"Accept": _JSON, "Content-Type": _MERGE_PATCH}
        await self._send("PATCH", path, names, headers, query=[("fieldManager", COMPONENT)], body=body, answer=None)

    async def _get(self, path: str, *, accept: str = _JSON, query: Sequence[tuple[str, str]] = (), **names: str) -> Any:
        return await self._send("GET", path, names, {"Accept": accept}, query=query)

    async def _create(self, path: str, body: Mapping[str, Any], **names: str) -> Any:
        return await self._send("POST", path, names, {"Accept": _JSON, "Content-Type": _JSON}, body=body)

    async def _send(
        self,
        method: str,
        path: str,
        names: Mapping[str, str],
        headers: dict[str, str],
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        answer: str | None = "object",
    ) -> Any:
        """One request and its answer as JSON, or None for one that nobody reads; `names` fill the places in the path.

        For what is no kind of ours the client has classes: to import those of core/v1 takes half of our start.
        """
        request = await self._client.param_serialize(
            method,
            path,
            path_params=dict(names),
            query_params=list(query),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(*request, _request_timeout=TIMEOUT)
        await response.read()
        return self._client.response_deserialize(response, {"2XX": answer}).data

    async def _ask(
        self,
        verb: str,
        request: Callable[[], Awaitable[Answer]],
        *,
        pauses: Sequence[float] = PAUSES,
        again: Collection[int] = TEMPORARY,
    ) -> Answer:
        """Send a request, and again a little later when the API server is busy or does not answer.

        `again` are the statuses after which the same request may succeed. Raises `ApiException` for the last refusal
        and `ClusterUnavailable` when nothing came back.
        """
        for pause in (*pauses, None):
            try:
                answer = await request()
            except ApiException as refusal:
                self._metrics.requested(verb, str(refusal.status or "none"))
                early = refusal.status == FORBIDDEN and not await self._is_ready()
                if pause is None and early:
                    raise ClusterUnavailable("the API server is not ready, and refuses what it may allow") from None
                if pause is None or not (early or refusal.status in again):
                    raise
                wanted = retry_after(refusal)
            except NO_ANSWER as failure:
                self._metrics.requested(verb, "none")
                if pause is None:
                    message = f"the Kubernetes API does not answer ({type(failure).__name__})"
                    raise ClusterUnavailable(message) from None
                wanted = 0.0
            else:
                self._metrics.requested(verb, "ok")
                return answer
            await asyncio.sleep(max(wanted, random.uniform(pause / 2, pause)))  # noqa: S311  # a pause, not a secret
        raise AssertionError("the last attempt returns or raises")

    async def _is_ready(self) -> bool:
        """Whether the API server knows its rules by now: until then it refuses everybody nearly everything."""
        try:
            await self._send("GET", "/readyz", {}, {}, answer=None)
        except ApiException as refusal:
            return (refusal.status or 500) < 500
        except NO_ANSWER:
            return False
        return True


def _described(kind: Kind, namespace: str | None) -> str:
    return f"{kind}.{GROUP}" + (f" in {namespace}" if namespace else "")


def _given(**fields: str | None) -> dict[str, str]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value}


def _decoded(secret: Any) -> dict[str, bytes]:
    """What a Secret holds. Raises `ValueError` for what is no Secret."""
    match secret:
        case {"metadata": dict(), "data": dict(data)} if all(isinstance(value, str) for value in data.values()):
            return {key: base64.b64decode(value, validate=True) for key, value in data.items()}
        case {"metadata": dict()} if secret.get("data") is None:
            return {}
        case _:
            raise ValueError("not a Secret")
