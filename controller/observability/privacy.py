"""What of a text or of an exception may leave this process? No e-mail, and no text of an exception that is not ours.

Whatever a library raises may quote a row, a body, a key or a subject, which nothing recognises. Of such an exception we
say its type and its places, which is what one needs to find it (invariant 10).
"""

import os
import re
import traceback
from collections.abc import Iterator

from controller.errors import ControllerError

MOST = 20
"""Exceptions of one lineage that are told."""

_EMAIL = re.compile(
    r"""[^\s@"'`<>(){}\[\],;:=&?/\\|]+      # a local part, up to what delimits it
        (?:@|%40)
        (?=[^\s@"'`<>(){}\[\],;:=&?/\\|])   # followed by a host, which stays: it is no personal data
    """,
    re.VERBOSE,
)


def mask_emails(text: str) -> str:
    """Mask the local part of everything that looks like an e-mail, percent-encoded ones included."""
    return _EMAIL.sub("***@", text)


def text_of(error: BaseException) -> str | None:
    """What an exception says, when that is a text of ours or of the operating system; otherwise None."""
    if isinstance(error, ControllerError):
        return mask_emails(str(error))
    if isinstance(error, OSError) and isinstance(error.errno, int):
        # Its own text names files.
        return os.strerror(error.errno)
    return None


def lineage(error: BaseException) -> list[BaseException]:
    """What has led to an exception, the oldest first and itself last: causes, contexts, members of groups."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < MOST:
        one = waiting.pop()
        if any(one is other for other in found):
            continue
        found.append(one)
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if before is not None:
            waiting.append(before)
    return found[::-1]


def traceback_of(error: BaseException) -> str:
    """Where an exception and those before it were raised, as Python tells it but for the texts."""
    return "\n".join(part for one in lineage(error) for part in _told(one))


def _told(error: BaseException) -> Iterator[str]:
    yield "Traceback (most recent call last):"
    yield from (line.rstrip() for line in traceback.format_tb(error.__traceback__))
    text = text_of(error)
    yield f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__
