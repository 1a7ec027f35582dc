"""Where are domains created? At the endpoint that the settings name, if they name one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from controller.messages.client import Messages
from controller.settings import Settings, messages_key


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The mail application's provisioning endpoint, complete and checked."""

    url: str
    key: Callable[[], str] = field(repr=False)
    """Reads the key for each request. Raises `SecretMissing`."""
    channel: str | None = None


def read_endpoint(settings: Settings) -> Endpoint | None:
    """Read where domains are created; None where this install creates none.

    Raises `InvalidInput` when an address is named without a key.
    """
    if settings.messages_url is None:
        return None
    return Endpoint(settings.messages_url, messages_key(settings), settings.messages_channel)


@asynccontextmanager
async def opened(endpoint: Endpoint | None) -> AsyncIterator[Messages | None]:
    """A client for as long as the block lasts."""
    if endpoint is None:
        yield None
        return
    messages = Messages(endpoint.url, endpoint.key, channel=endpoint.channel)
    try:
        yield messages
    finally:
        await messages.close()
