"""What has changed in the cluster? kopf watches, and all that its handlers do is to pass each event on.

No handler patches, so no object ever gets a finalizer or an annotation, and `list, watch` is all that kopf needs.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from traceback import walk_tb
from typing import Any

import kopf

from controller.cluster.cluster import Cluster
from controller.errors import ClusterUnavailable, ControllerError, NotAuthorized
from controller.resources.model import GROUP, VERSION, Kind

BACKOFFS = (1.0, 2.0, 3.0, 5.0, 8.0)
"""Seconds between attempts before a refusal counts as lasting. An API server that is away never does."""

PAGE = 100
"""Objects of one page of kopf's lists. It reads on while objects of the page before are still being handled."""

CLOSING = 10.0
"""Seconds that the watches have to end; what is left then ends with the process."""

_TOLD_BY_US = ("kopf._core.reactor.running", "kopf._core.reactor.orchestration")
"""Loggers that repeat, with a traceback, what ends the watch."""


Notice = Callable[[Mapping[str, Any]], None]
"""Takes each event of an object."""


class Watch:
    """kopf's watches while they run."""

    def __init__(
        self, tasks: Collection[asyncio.Task[Any]], older: Collection[asyncio.Task[Any]], stop: asyncio.Event
    ) -> None:
        self._tasks = tasks
        self._older = older
        self._stop = stop

    @property
    def lives(self) -> bool:
        """Whether all of them run."""
        return not any(task.done() for task in self._tasks)

    async def end(self) -> None:
        """Wait until one of them ends, which none does by itself. Nothing is cleaned up yet."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """End them all. Raises `NotAuthorized` or `ClusterUnavailable` when one has failed before.

        kopf then cancels every task that is younger than it: nothing else may run any more.
        """
        self._stop.set()
        stumbled: Exception | None = None
        try:
            # A request under way when kopf ends by itself is not cancelled, but waited for with all its retries.
            async with asyncio.timeout(CLOSING):
                await kopf.run_tasks(self._tasks, ignored=self._older)
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001  # kopf does not publish its errors
            stumbled = error
        # Watches that are left behind stumble over what the end has closed, and kopf raises anybody's error.
        failure = self._failure or stumbled
        if failure is not None:
            raise explained(failure) from None

    @property
    def _failure(self) -> Exception | None:
        """Why the first of them has ended, if not because it was told to."""
        ended = (task.exception() for task in self._tasks if task.done() and not task.cancelled())
        return next((error for error in ended if isinstance(error, Exception)), None)


async def watch(cluster: Cluster, namespaces: Collection[str], notice: Notice) -> Watch:
    """Start to watch our kinds, in these namespaces or in the whole cluster, and call `notice` with each event.

    kopf takes SIGINT and SIGTERM for itself; whoever wants them takes them back afterwards.
    """
    for name in _TOLD_BY_US:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asyncio.get_running_loop().set_exception_handler(_unless_kopf_told)
    older = asyncio.all_tasks()
    stop = asyncio.Event()
    tasks = await kopf.spawn_tasks(
        registry=_registry(cluster, notice),
        settings=_settings(),
        clusterwide=not namespaces,
        namespaces=sorted(namespaces),
        standalone=True,
        stop_flag=stop,
    )
    return Watch(tasks, older, stop)


def _unless_kopf_told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of several watches that fail, kopf raises one error and leaves the others to the garbage; they say the same.

    What its own callbacks stumble over when a watch is cancelled as it ends says nothing more, either.
    """
    if not _is_of_kopf(context.get("exception")):
        loop.default_exception_handler(context)


def _is_of_kopf(error: BaseException | None) -> bool:
    """Whether kopf, or what it stands on, has raised it, and nothing of ours."""
    frames = walk_tb(error.__traceback__) if error is not None else ()
    rooms = {str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in frames}
    return "kopf" in rooms and __name__.partition(".")[0] not in rooms


def _registry(cluster: Cluster, notice: Notice) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(id="cluster", registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _connection(cluster)

    async def changed(event: Mapping[str, Any], resource: kopf.Resource, namespace: str | None, **_: Any) -> None:
        # Of the namespaces of sources only sources are listed; kopf watches all kinds wherever it watches any.
        if cluster.looks_at(Kind(resource.plural), namespace):
            notice(event)

    for kind in Kind:
        kopf.on.event(GROUP, VERSION, kind.value, id=f"{kind}-changed", registry=registry)(changed)
    return registry


async def _connection(cluster: Cluster) -> kopf.ConnectionInfo:
    access = await cluster.access()
    scheme, _, token = (access.authorization or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=access.server,
        ca_path=access.ca_file,
        ca_data=access.ca_data,
        insecure=not access.verify,
        scheme=scheme or None,
        token=token or None,
        certificate_path=access.certificate_file,
        private_key_path=access.key_file,
        proxy_url=access.proxy,
        trust_env=True,
    )


class _Unremembered(kopf.DiffBaseStorage):
    """Nobody asks what an object was like before, and copying it to find out is most of what an event costs."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is ever written to an object."""


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _Unremembered()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # The process that we are part of ends by itself; a timer that kills it would outlive us.
    settings.process.ultimate_exiting_timeout = None
    # Ten thousand objects make ten thousand workers at the start, which have nothing to wait for.
    settings.queueing.idle_timeout = 0.05
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = BACKOFFS
    settings.watching.chunk_size = PAGE
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.inactivity_timeout = 70
    return settings


def explained(error: Exception) -> ControllerError:
    """What it means that kopf gave up. Its API errors carry the HTTP `status`; their text stays out."""
    kinds = ", ".join(f"{kind}.{GROUP}" for kind in Kind)
    match getattr(error, "status", None):
        case 401:
            return NotAuthorized("the API server does not accept our credentials any more")
        case 403:
            return NotAuthorized(f"the operator may not list and watch {kinds}: apply the RBAC of manifests/")
        case 404:
            return ClusterUnavailable(f"the API server does not know {kinds}: apply crds/ first")
        case None if isinstance(error, kopf.LoginError):
            return NotAuthorized("the API server does not accept our credentials any more")
        case status:
            return ClusterUnavailable(f"the watch of {kinds} has ended ({status or type(error).__name__})")
