"""What is made of answers that a healthy API server rarely gives? A server on loopback gives them."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.cluster.cluster import AT_ONCE, PAGE, PAUSES, RESTARTS, Cluster, connected
from controller.errors import ClusterUnavailable, ControllerError, InvalidInput, NotAuthorized, SecretMissing
from controller.observability.logging import configure_logging
from controller.observability.metrics import Metrics
from controller.resources.model import Kind
from controller.resources.names import ResourceKey

KEY = ResourceKey("communes", "commune")
SECRET = "what-nobody-may-read"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fake:
    """An API server that answers what it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[Any] = []
        self.answers: list[Handler] = []
        """One after the other; the last one for ever."""
        self.readiness = 200

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/readyz":
            return web.Response(status=self.readiness)
        self.requests.append(request)
        self.bodies.append(json.loads(body) if (body := await request.text()) else None)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


def say(status: int, body: Any, content_type: str = "application/json", **headers: str) -> Handler:
    """An answer that can be given more than once."""
    text = body if isinstance(body, str) else json.dumps(body)

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=content_type, headers=headers)

    return handle


def refused(code: int, **headers: str) -> Handler:
    """As the API server says no; its message repeats what must not be read."""
    return say(code, {"kind": "Status", "code": code, "message": f"no: {SECRET}"}, **headers)


def page(*names: str, token: str = "") -> Handler:
    return say(200, {"items": [{"metadata": {"name": name}} for name in names], "metadata": {"continue": token}})


def names(objects: list[dict[str, Any]]) -> list[str]:
    return [item["metadata"]["name"] for item in objects]


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def server(fake: Fake) -> AsyncIterator[TestServer]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fake.handle)
    running = TestServer(application)
    async with running:
        yield running


def address(server: TestServer) -> str:
    return str(server.make_url("")).rstrip("/")


def kubeconfig(path: Path, server: str, user: dict[str, str]) -> Path:
    content = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def config(server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = kubeconfig(tmp_path / "kubeconfig", address(server), {"token": "t0ken"})
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    monkeypatch.delenv("http_proxy", raising=False)
    return path


@pytest.fixture
async def cluster(config: Path, metrics: Metrics) -> AsyncIterator[Cluster]:
    async with connected((), (), metrics) as open_cluster:
        yield open_cluster


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between requests, which take no time."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def skip(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("controller.cluster.cluster.asyncio.sleep", skip)
    return pauses


# --- lists ---


async def test_a_list_is_put_together_from_its_pages(fake: Fake, cluster: Cluster) -> None:
    fake.answers = [page("a", "b", token="more"), page("c")]
    assert names(await cluster.list_objects(Kind.DOMAIN)) == ["a", "b", "c"]
    assert [dict(request.query) for request in fake.requests] == [
        {"limit": str(PAGE)},
        {"limit": str(PAGE), "continue": "more"},
    ]


async def test_a_list_whose_token_expires_starts_again_and_repeats_nothing(fake: Fake, cluster: Cluster) -> None:
    fake.answers = [page("a", token="old"), refused(410), page("a", "b", token="new"), page("c")]
    assert names(await cluster.list_objects(Kind.DOMAIN)) == ["a", "b", "c"]


async def test_a_list_that_keeps_expiring_is_no_list(fake: Fake, cluster: Cluster) -> None:
    fake.answers = [page("a", token="old"), refused(410)] * (RESTARTS + 1)
    with pytest.raises(ClusterUnavailable, match="expire"):
        await cluster.list_objects(Kind.DOMAIN)


async def test_a_list_that_breaks_off_is_no_list(fake: Fake, cluster: Cluster, slept: list[float]) -> None:
    fake.answers = [page("a", token="more"), refused(500)]
    with pytest.raises(ClusterUnavailable):
        await cluster.list_objects(Kind.DOMAIN)


@pytest.mark.parametrize(
    "answer",
    [
        say(200, "<html>sign in</html>", "text/html"),
        say(200, "<html>sign in</html>"),
        say(200, {}),
        say(200, {"items": None, "metadata": {}}),
        say(200, {"items": []}),
        say(200, []),
        say(200, "zip", "application/zip"),
        say(302, "", Location="https://elsewhere.example/"),
    ],
    ids=["html", "html as json", "nothing", "no items", "no metadata", "another type", "not text", "redirect"],
)
async def test_what_is_no_list_is_never_an_empty_one(
    fake: Fake, cluster: Cluster, slept: list[float], answer: Handler
) -> None:
    fake.answers = [answer]
    with pytest.raises(ClusterUnavailable):
        await cluster.list_objects(Kind.DOMAIN)


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        (401, NotAuthorized, "credentials"),
        (403, NotAuthorized, r"may not list maildomains\.maildomain\.dev: apply the RBAC of manifests/"),
        (404, ClusterUnavailable, r"does not know maildomains\.maildomain\.dev: apply crds/ first"),
        (400, ClusterUnavailable, "answers 400"),
    ],
)
async def test_a_refusal_says_what_to_do_and_repeats_nothing_of_the_server(
    fake: Fake, cluster: Cluster, code: int, error: type[ControllerError], says: str
) -> None:
    fake.answers = [refused(code)]
    with pytest.raises(error, match=says) as raised:
        await cluster.list_objects(Kind.DOMAIN)
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__
    assert len(fake.requests) == 1


async def test_sources_are_listed_in_their_own_namespaces_too(fake: Fake, config: Path, metrics: Metrics) -> None:
    fake.answers = [page()]
    async with connected({"communes", "syndicats"}, {"platform"}, metrics) as cluster:
        await cluster.list_objects(Kind.DOMAIN)
        await cluster.list_objects(Kind.SOURCE)
    assert [request.path.split("/")[5:] for request in fake.requests] == [
        ["communes", "maildomains"],
        ["syndicats", "maildomains"],
        ["communes", "entitlementsources"],
        ["platform", "entitlementsources"],
        ["syndicats", "entitlementsources"],
    ]


# --- again, a little later ---


@pytest.mark.parametrize("code", [409, 429, 500, 502, 503, 504])
async def test_a_busy_server_is_asked_again(fake: Fake, cluster: Cluster, slept: list[float], code: int) -> None:
    fake.answers = [refused(code), refused(code), page("a")]
    assert names(await cluster.list_objects(Kind.DOMAIN)) == ["a"]
    assert len(slept) == 2
    assert all(pause <= longest for pause, longest in zip(slept, PAUSES, strict=False))


async def test_a_server_that_stays_busy_is_left_alone(fake: Fake, cluster: Cluster, slept: list[float]) -> None:
    fake.answers = [refused(503)]
    with pytest.raises(ClusterUnavailable, match="503"):
        await cluster.list_objects(Kind.DOMAIN)
    assert len(fake.requests) == 1 + len(PAUSES)


@pytest.mark.parametrize(("given", "waited"), [("4", 4.0), ("3600", 10.0), ("soon", 0.2)])
async def test_retry_after_is_respected_within_reason(
    fake: Fake, cluster: Cluster, slept: list[float], given: str, waited: float
) -> None:
    fake.answers = [refused(429, **{"Retry-After": given}), page()]
    await cluster.list_objects(Kind.DOMAIN)
    assert slept[0] == pytest.approx(waited, abs=0.1)


async def test_a_connection_that_is_cut_is_made_again(fake: Fake, cluster: Cluster, slept: list[float]) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    fake.answers = [cut, page("a")]
    assert names(await cluster.list_objects(Kind.DOMAIN)) == ["a"]


async def test_requests_are_counted_by_their_outcome(
    fake: Fake, cluster: Cluster, metrics: Metrics, slept: list[float]
) -> None:
    fake.answers = [refused(503), page()]
    await cluster.list_objects(Kind.DOMAIN)
    for outcome in ("503", "ok"):
        labels = {"verb": "list", "outcome": outcome}
        assert metrics.registry.get_sample_value("maildomain_cluster_requests_total", labels) == 1


# --- statuses ---


async def test_a_status_is_a_merge_patch_of_the_difference(fake: Fake, cluster: Cluster) -> None:
    fake.answers = [say(200, {})]
    assert await cluster.patch_status(Kind.DOMAIN, KEY, {"a": 1, "b": 2}, {"a": 1, "c": 3})
    (request,) = fake.requests
    assert (request.method, request.path) == (
        "PATCH",
        "/apis/maildomain.dev/v1alpha1/namespaces/communes/maildomains/commune/status",
    )
    assert request.content_type == "application/merge-patch+json"
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert fake.bodies == [{"status": {"b": 2, "c": None}}]


async def test_an_equal_status_is_not_sent(fake: Fake, cluster: Cluster) -> None:
    assert await cluster.patch_status(Kind.DOMAIN, KEY, {"a": 1}, {"a": 1})
    assert fake.requests == []


@pytest.mark.parametrize("code", [400, 404, 413, 422])
async def test_one_object_that_takes_no_status_stops_nobody(fake: Fake, cluster: Cluster, code: int) -> None:
    fake.answers = [refused(code), say(200, {})]
    assert not await cluster.patch_status(Kind.DOMAIN, KEY, {"a": 1}, {})
    assert await cluster.patch_status(Kind.DOMAIN, KEY, {"a": 1}, {})


async def test_a_status_that_may_not_be_written_is_said_so(fake: Fake, cluster: Cluster) -> None:
    fake.answers = [refused(403)]
    with pytest.raises(NotAuthorized, match=r"may not patch maildomains/status\.maildomain\.dev"):
        await cluster.patch_status(Kind.DOMAIN, KEY, {"a": 1}, {})


async def test_statuses_are_sent_a_few_at_a_time(fake: Fake, cluster: Cluster) -> None:
    under_way = most = 0
    full = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way >= AT_ONCE:
            full.set()
        await full.wait()
        under_way -= 1
        return web.json_response({})

    fake.answers = [slow]
    await asyncio.gather(*(cluster.patch_status(Kind.DOMAIN, KEY, {"a": n}, {}) for n in range(3 * AT_ONCE)))
    assert most == AT_ONCE


# --- Secrets, Events, and what is told ---


async def test_a_secret_comes_decoded(fake: Fake, cluster: Cluster) -> None:
    fake.answers = [say(200, {"metadata": {"name": "s"}, "data": {"api-key": "a8Opeg=="}})]
    assert await cluster.read_secret("platform", "s") == {"api-key": "k\u00e9z".encode()}


@pytest.mark.parametrize(
    "answer",
    [
        say(200, "<html>", "text/html"),
        say(200, []),
        say(200, {"data": {}}),
        *(say(200, {"metadata": {}, "data": data}) for data in ([1], [], {"k": "%"}, {"k": 1234})),
    ],
)
async def test_what_is_no_secret_is_no_answer(
    fake: Fake, cluster: Cluster, slept: list[float], answer: Handler
) -> None:
    fake.answers = [answer]
    with pytest.raises(ClusterUnavailable):
        await cluster.read_secret("platform", "s")


async def test_a_secret_without_data_has_no_keys(fake: Fake, cluster: Cluster) -> None:
    fake.answers = [say(200, {"metadata": {"name": "s"}})]
    assert await cluster.read_secret("platform", "s") == {}


async def test_a_refusal_of_an_api_server_that_has_just_started_is_no_missing_secret(
    fake: Fake, cluster: Cluster, slept: list[float]
) -> None:
    fake.answers = [refused(403), refused(403), say(200, {"metadata": {"name": "s"}})]
    assert await cluster.read_secret("platform", "s") == {}
    assert len(slept) == 2


async def test_what_an_api_server_refuses_before_it_is_ready_says_nothing_about_rights(
    fake: Fake, cluster: Cluster, slept: list[float]
) -> None:
    fake.answers, fake.readiness = [refused(403)], 500
    with pytest.raises(ClusterUnavailable, match="not ready"):
        await cluster.read_secret("platform", "s")
    with pytest.raises(ClusterUnavailable, match="not ready"):
        await cluster.list_objects(Kind.DOMAIN)


@pytest.mark.parametrize("readiness", [200, 401, 403, 404])
async def test_a_refusal_of_an_api_server_whose_readiness_nobody_doubts_is_one(
    fake: Fake, cluster: Cluster, slept: list[float], readiness: int
) -> None:
    fake.answers, fake.readiness = [refused(403)], readiness
    with pytest.raises(NotAuthorized):
        await cluster.list_objects(Kind.DOMAIN)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(("code", "says"), [(403, "may not be read"), (404, "is not there")])
async def test_a_secret_that_can_not_be_read_is_missing(
    fake: Fake, cluster: Cluster, slept: list[float], code: int, says: str
) -> None:
    fake.answers = [refused(code)]
    with pytest.raises(SecretMissing, match=f"Secret platform/s {says}"):
        await cluster.read_secret("platform", "s")


async def test_an_event_that_is_refused_is_dropped_without_its_detail(
    fake: Fake, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("json", "DEBUG")
    fake.answers = [refused(500)]
    await cluster.post_event(Kind.DOMAIN, KEY, "uid", reason="SourceStale", note="...", warning=True)
    assert len(fake.requests) == 1
    logged = capsys.readouterr().err
    assert "event_not_posted" in logged
    assert SECRET not in logged


async def test_no_body_is_ever_logged(
    fake: Fake, cluster: Cluster, slept: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("json", "DEBUG")
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    fake.answers = [
        say(200, {"items": [{"spec": SECRET}], "metadata": {}}),
        say(200, {"metadata": {"name": "s"}, "data": {"k": "d2hhdC1ub2JvZHktbWF5LXJlYWQ="}}),
        refused(422),
        refused(503),
    ]
    await cluster.list_objects(Kind.DOMAIN)
    assert await cluster.read_secret("platform", "s") == {"k": SECRET.encode()}
    await cluster.patch_status(Kind.DOMAIN, KEY, {"a": SECRET}, {})
    with pytest.raises(ClusterUnavailable) as raised:
        await cluster.patch_status(Kind.DOMAIN, KEY, {"a": SECRET}, {})
    logged = capsys.readouterr().err
    assert "status_refused" in logged
    assert SECRET not in logged + str(raised.value)


# --- who we are ---


async def test_a_token_file_is_read_again(
    fake: Fake, server: TestServer, config: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = config.with_name("token")
    token.write_text("first")
    kubeconfig(config, address(server), {"tokenFile": str(token)})
    now = 0.0
    monkeypatch.setattr("controller.cluster.connecting.time.monotonic", lambda: now)
    fake.answers = [page()]
    async with connected((), (), metrics) as cluster:
        await cluster.list_objects(Kind.DOMAIN)
        token.write_text("second")
        now = 61.0
        await cluster.list_objects(Kind.DOMAIN)
        access = await cluster.access()
    assert [request.headers["Authorization"] for request in fake.requests] == ["Bearer first", "Bearer second"]
    assert access.authorization == "Bearer second"
    assert "second" not in repr(access)


@pytest.mark.parametrize(
    "content", [None, "", "{}", "[]", "kind: Config\ncurrent-context: none", "a: [", "clusters: 1"]
)
async def test_a_kubeconfig_that_leads_nowhere_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: Metrics, content: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(InvalidInput, match="KUBECONFIG: leads to no API server"):
        async with connected((), (), metrics):
            raise AssertionError("there is nothing to be connected to")
