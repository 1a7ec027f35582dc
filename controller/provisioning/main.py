"""How does the API start, and what ends it? Its keys, where MailDomains go, where hints go, and the server."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, nullcontext
from pathlib import Path

import structlog

from controller.cluster.cluster import connected
from controller.engine.courtroom import Courtroom, Declared
from controller.errors import ControllerError, InvalidInput, Problem
from controller.maildb.database import MailDatabase
from controller.observability.listening import listen
from controller.observability.logging import configure_logging
from controller.observability.metrics import Metrics
from controller.provisioning.accessreviews import access_reviews
from controller.provisioning.application import application
from controller.provisioning.authentication import Bearer, Channel, EitherContract, KeyRing
from controller.provisioning.clustered import ClusterStore
from controller.provisioning.config import config
from controller.provisioning.declared import ClusterDeclared, FolderDeclared
from controller.provisioning.declaring import Declaring
from controller.provisioning.endpoint import Address
from controller.provisioning.folder import FolderStore
from controller.provisioning.hooks import hooks
from controller.provisioning.maildomains import maildomains
from controller.provisioning.rates import Rates
from controller.provisioning.serving import serve
from controller.provisioning.template import Template, read_template
from controller.settings import ApiSettings, Settings, database_url

log = structlog.get_logger(__name__)

HOOKS_PER_SECOND = 20.0
HOOKS_AT_ONCE = 200.0
"""Hooks of one key, at first or after a pause."""
REVIEWS_PER_SECOND = 200.0
REVIEWS_AT_ONCE = 2000.0
"""Questions of one key, at first or after a pause."""
PAUSE = 4.0
"""Seconds at the permitted rate that may come at once after a pause."""


def run(settings: Settings, api: ApiSettings, folder: Path | None) -> int:
    """Serve until SIGTERM or SIGINT, then 0. 1 is an error of ours, which is logged.

    Raises `InvalidInput` for settings that it can't start with, `NotAuthorized` or `ClusterUnavailable` when the
    cluster does not let it work: a restart tries again.
    """
    configure_logging(settings.log_format, settings.log_level)
    try:
        asyncio.run(operate(settings, api, folder))
    except ControllerError:
        raise
    except Exception:
        # Only the log masks what an unforeseen text may hold.
        log.exception("ended")
        return 1
    return 0


async def operate(settings: Settings, api: ApiSettings, folder: Path | None) -> None:
    """Work until a signal comes."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()
    template = _template(api)
    with _database(settings, api) as database, listen(api.api_port, "MDC_API_PORT") as listener:
        async with (
            _declaring(settings, template, folder, metrics) as declaring,
            _court(settings, api, folder, database, metrics) as court,
        ):
            gate = EitherContract(Bearer(KeyRing(api.provisioning_keys)), Channel(KeyRing(api.provisioning_channels)))
            rates = Rates(float(api.provisioning_rate), max(PAUSE * api.provisioning_rate, 1000.0 + 1))
            addresses: list[Address] = [
                maildomains(gate, rates, declaring, metrics),
                hooks(Bearer(KeyRing(api.hooks_keys)), Rates(HOOKS_PER_SECOND, HOOKS_AT_ONCE), database, metrics),
                access_reviews(Bearer(KeyRing(api.review_keys)), Rates(REVIEWS_PER_SECOND, REVIEWS_AT_ONCE), court),
                config(settings),
            ]
            log.info("serving", port=listener.getsockname()[1])
            await serve(application(addresses, metrics), listener, stop)
    log.info("stopped")


def _template(api: ApiSettings) -> Template | None:
    """What is made from; none where nobody may ask for anything to be made."""
    if api.provisioning_template is not None:
        return read_template(api.provisioning_template)
    if api.provisioning_keys is None and api.provisioning_channels is None:
        return None
    remedy = "name a file with a MailDomain without a name"
    raise InvalidInput(Problem("environment", "MDC_PROVISIONING_TEMPLATE", "is not set", remedy))


@asynccontextmanager
async def _declaring(
    settings: Settings, template: Template | None, folder: Path | None, metrics: Metrics
) -> AsyncIterator[Declaring | None]:
    """Where MailDomains are declared: in a folder, or in the cluster."""
    if template is None:
        yield None
    elif folder is not None:
        yield Declaring(FolderStore(folder), template)
    else:
        async with connected(settings.namespaces, (), metrics) as cluster:
            await cluster.require_domains()
            yield Declaring(ClusterStore(cluster, template.namespace), template)


@asynccontextmanager
async def _court(
    settings: Settings, api: ApiSettings, folder: Path | None, database: MailDatabase | None, metrics: Metrics
) -> AsyncIterator[Courtroom | None]:
    """Who answers whether somebody may open a service; nobody where nobody may ask."""
    if api.review_keys is None or database is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        if folder is not None:
            declared: Declared = FolderDeclared(folder)
        else:
            declared = ClusterDeclared(await stack.enter_async_context(connected(settings.namespaces, (), metrics)))
        court = Courtroom(database, declared, time.monotonic)
        stack.push_async_callback(court.close)
        yield court


def _database(settings: Settings, api: ApiSettings) -> "closing[MailDatabase] | nullcontext[None]":
    """Where hints wait, and people are looked up; none where nobody may give hints or ask."""
    if api.hooks_keys is None and api.review_keys is None:
        return nullcontext()
    if settings.owner is None:
        remedy = "name the owner of the operator that follows the hints, and whose rows are asked about"
        raise InvalidInput(Problem("environment", "MDC_OWNER", "is not set", remedy))

    def url() -> str:
        # Looked up when it is needed first: names are declared where there is no database at all.
        return database_url(settings)()

    return closing(MailDatabase(url, owner=settings.owner))
