"""What does the end of a watch mean?"""

import asyncio
import re
from typing import NoReturn

import kopf
import pytest

from controller.errors import ClusterUnavailable, ControllerError, NotAuthorized
from controller.operator.watching import Watch, explained


class ApiError(Exception):
    """As kopf's: the status is an attribute, the server's text the message."""

    def __init__(self, status: int) -> None:
        super().__init__("secret text")
        self.status = status


@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        (ApiError(401), NotAuthorized, "does not accept our credentials"),
        (ApiError(403), NotAuthorized, "may not list and watch .*: apply the RBAC of manifests/"),
        (ApiError(404), ClusterUnavailable, "does not know .*maildomains.maildomain.dev, .*: apply crds/ first"),
        (ApiError(500), ClusterUnavailable, r"has ended \(500\)"),
        (kopf.LoginError("secret text"), NotAuthorized, "does not accept our credentials"),
        (RuntimeError("secret text"), ClusterUnavailable, r"has ended \(RuntimeError\)"),
    ],
)
def test_the_end_of_a_watch_says_what_to_do(error: Exception, becomes: type[ControllerError], says: str) -> None:
    told = explained(error)
    assert type(told) is becomes
    assert re.search(says, str(told))
    assert "secret text" not in str(told)


async def test_what_watches_stumble_over_that_are_left_behind_is_not_the_cause() -> None:
    older, stop = asyncio.all_tasks(), asyncio.Event()

    async def refused() -> NoReturn:
        raise ApiError(403)

    async def left_behind() -> NoReturn:
        await stop.wait()
        await asyncio.sleep(0.1)
        raise AssertionError

    root = asyncio.create_task(refused())
    others = [asyncio.create_task(left_behind()) for _ in range(9)]
    with pytest.raises(NotAuthorized):
        await Watch([root], older, stop).close()
    assert all(isinstance(other.exception(), AssertionError) for other in others)
