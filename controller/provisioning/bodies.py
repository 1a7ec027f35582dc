"""What does a request say? JSON within bounds of size, depth and time; everything else is refused."""

import asyncio

from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from controller.provisioning.refusals import Refused

MAX_BODY = 1024 * 1024
"""Bytes of a body."""
WITHIN = 10.0
"""Seconds in which a body has to arrive."""


async def read_json(request: Request, *, lenient: bool = False) -> object:
    """The document in the body; None for what is not JSON where that is `lenient`. Raises `Refused`."""
    try:
        async with asyncio.timeout(WITHIN):
            body = await _read(request)
    except TimeoutError:
        raise Refused(408, "The body took too long.", Connection="close") from None
    except ClientDisconnect:
        raise Refused(400, "The body is not complete.") from None
    try:
        document: object = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        if lenient:
            return None
        # Too deep is this as well. The reason would repeat what the body holds.
        raise Refused(400, "The body is not JSON.") from None
    return document


async def _read(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _too_large()
    return bytes(body)


def _too_large() -> Refused:
    return Refused(413, "The body is larger than 1 MiB.", Connection="close")
