"""No e-mail and no key leaves by a log, an error or a repr, whatever the log levels are (invariant 10)."""

import logging
from collections.abc import Iterator

import pytest

from controller.entitlements.answer import Received
from controller.entitlements.sweep import sweep
from controller.sandbox.deploycenter import Behaviour, Double
from tests.support.deploycenter import ADMIN, API_KEY, opened, subject

HTTP_LIBRARIES = ("httpx", "httpcore", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "h11", "anyio")


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG)
    before = {name: logging.getLogger(name).level for name in HTTP_LIBRARIES}
    for name in HTTP_LIBRARIES:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield caplog
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def assert_private(text: str) -> None:
    for secret in (ADMIN, ADMIN.replace("@", "%40"), ADMIN.partition("@")[0], API_KEY):
        assert secret not in text


@pytest.mark.parametrize(
    "behaviour", [None, *(one for one in Behaviour if one not in (Behaviour.SLOW, Behaviour.DRIP))]
)
async def test_nothing_is_logged(
    double: Double, url: str, everything_logged: pytest.LogCaptureFixture, behaviour: Behaviour | None
) -> None:
    double.behaviour = behaviour
    async with opened(url) as source:
        await sweep(source, [subject()], lambda _, __: None)
    assert double.requests
    client = [record for record in everything_logged.records if not record.name.startswith(("aiohttp", "asyncio"))]
    assert client == []
    assert_private(everything_logged.text)


async def test_the_client_is_shown_without_key_and_answers_without_body(url: str) -> None:
    async with opened(url) as source:
        reply = await source.ask(subject())
        assert_private(f"{source!r} {source} {reply!r}")
    assert_private(repr(Received(200, "application/json", f'{{"x": "{ADMIN}"}}'.encode())))
