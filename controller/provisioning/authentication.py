"""Who is calling? Keys from mounted files, compared in constant time, by one of the two contracts of the application.

A key that is not configured admits nobody (A-71). Files are read again every few seconds, so that a key rotates without
a restart, and several are valid at once.
"""

import hmac
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import structlog
from starlette.datastructures import Headers

from controller.provisioning.refusals import Refused

log = structlog.get_logger(__name__)

REREAD = 5.0
"""Seconds after which the files are read again: how long a withdrawn key lives on."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key it was: the name of its file, which is no secret."""

    name: str


class Gate(Protocol):
    """What lets callers in."""

    def admit(self, headers: Headers) -> Caller:
        """Who is calling. Raises `Refused`."""
        ...


class KeyRing:
    """The keys of one folder, such as a mounted Secret: each line of each file is one, under the name of its file."""

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._keys: tuple[tuple[str, bytes], ...] = ()
        self._until = float("-inf")

    def find(self, key: str, name: str | None = None) -> Caller | None:
        """Whose key it is, or None. With `name` only the keys of that file count."""
        given, found = _digest(key.encode()), None
        # Every key is compared, so that the time says nothing about which of them is close.
        for owner, digest in self._current():
            if hmac.compare_digest(given, digest) and name in (None, owner):
                found = Caller(owner)
        return found

    def _current(self) -> tuple[tuple[str, bytes], ...]:
        now = self._clock()
        if self._folder is not None and now >= self._until:
            self._keys = tuple(_read(self._folder))
            self._until = now + REREAD
        return self._keys


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer KEY`; 403 without a key that is known."""

    keys: KeyRing

    def admit(self, headers: Headers) -> Caller:
        """Who is calling. Raises `Refused`."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        caller = self.keys.find(key) if scheme == "Bearer" and key else None
        if caller is None:
            raise Refused(403, "Missing or unknown key.")
        return caller


@dataclass(frozen=True, slots=True)
class Channel:
    """`X-Channel-Id` and `X-API-Key`; 401 without a pair that is known."""

    keys: KeyRing

    def admit(self, headers: Headers) -> Caller:
        """Who is calling. Raises `Refused`."""
        name, key = headers.get("x-channel-id", ""), headers.get("x-api-key", "")
        caller = self.keys.find(key, name) if name and key else None
        if caller is None:
            raise Refused(401, "Missing or unknown channel or key.", WWW_Authenticate="X-API-Key")
        return caller


@dataclass(frozen=True, slots=True)
class EitherContract:
    """The contract of whose headers there are any; `Authorization` where there are none."""

    bearer: Bearer
    channel: Channel

    def admit(self, headers: Headers) -> Caller:
        """Who is calling. Raises `Refused`."""
        by_channel = "x-channel-id" in headers or "x-api-key" in headers
        return (self.channel if by_channel else self.bearer).admit(headers)


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    try:
        # Kubernetes keeps the files of a Secret under names that begin with a dot, and links to them.
        files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError as error:
        log.warning("keys_unreadable", folder=str(folder), error=type(error).__name__)
        return
    for path in files:
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            log.warning("keys_unreadable", folder=str(path), error=type(error).__name__)
            continue
        yield from ((path.name, _digest(key)) for line in lines if (key := line.strip()))


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()
