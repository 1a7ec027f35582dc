"""Where do MailDomains stand without a cluster? One file each in a folder, which another program commits or applies."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import yaml

from controller.cluster.applying import Applied
from controller.errors import Unavailable
from controller.provisioning.store import Found
from controller.resources.kubeyaml import Content, read_yaml
from controller.resources.names import DomainName

Spec = Mapping[str, Any]
T = TypeVar("T")

RESCAN = 1.0
"""Seconds after which a name that has no file of its own is looked for in all of them again."""

_ENDINGS = frozenset({".yaml", ".yml", ".json"})
_LONGEST = 240
"""Characters of a name that a file can have, with its ending."""


class FolderStore:
    """The MailDomains of a folder with all below it. Files that are named after their domain are written."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._known: dict[Path, tuple[tuple[int, int], dict[DomainName, Spec]]] = {}
        """What each file declares, as of its time and size."""
        self._elsewhere: Mapping[DomainName, Spec] = {}
        self._scanned_at = float("-inf")
        self._turn = asyncio.Lock()

    async def prepare(self, domains: Collection[DomainName]) -> None:
        """What stands in other files is looked through once, however many names there are. Raises `Unavailable`."""
        if domains:
            await self._do(self._scan)

    async def find(self, domain: DomainName) -> Found | None:
        """Who claims a name. Raises `Unavailable`."""
        return await self._do(lambda: self._find(domain))

    async def apply(self, obj: Mapping[str, Any]) -> Applied:
        """Write a file whole or not at all. Raises `Unavailable`."""
        return await self._do(lambda: self._write(obj))

    async def _do(self, work: Callable[[], T]) -> T:
        async with self._turn:
            try:
                return await asyncio.to_thread(work)
            except OSError as error:
                message = f"the folder can't be read or written ({type(error).__name__})"
                raise Unavailable(message) from None

    def _find(self, domain: DomainName) -> Found | None:
        own = self._file(domain)
        if own.is_file():
            for content in _objects(own):
                if content["spec"].get("domain") == domain:
                    return Found(content["spec"], content)
        if self._clock() - self._scanned_at > RESCAN:
            self._scan()
        elsewhere = self._elsewhere.get(domain)
        return Found(elsewhere, None) if elsewhere is not None else None

    def _write(self, obj: Mapping[str, Any]) -> Applied:
        target = self._file(DomainName(obj["spec"]["domain"]))
        outcome = Applied.CHANGED if target.exists() else Applied.CREATED
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self._folder, prefix=".", suffix=".new", delete=False
        ) as new:
            yaml.safe_dump(dict(obj), new, sort_keys=False, allow_unicode=True)
            new.flush()
            os.fsync(new.fileno())
        Path(new.name).chmod(0o644)
        Path(new.name).replace(target)
        return outcome

    def _file(self, domain: DomainName) -> Path:
        # No domain name has an underscore.
        digest = sha256(domain.encode()).hexdigest()[:16]
        name = domain if len(domain) <= _LONGEST else f"{domain[: _LONGEST - 17]}_{digest}"
        return self._folder / f"{name}.yaml"

    def _scan(self) -> None:
        """Look through all files; one that was read before and has not changed is not read again."""
        present = {path for path in self._folder.rglob("*") if path.suffix in _ENDINGS and path.is_file()}
        for path in self._known.keys() - present:
            del self._known[path]
        for path in present:
            state = path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            if path not in self._known or self._known[path][0] != stamp:
                specs = {DomainName(str(obj["spec"].get("domain"))): obj["spec"] for obj in _objects(path)}
                self._known[path] = (stamp, specs)
        self._elsewhere = {domain: spec for _, specs in self._known.values() for domain, spec in specs.items()}
        self._scanned_at = self._clock()


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """The MailDomains of a file. What can't be read declares nothing: `validate` tells why."""
    try:
        contents = list(read_yaml(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return
    for content in contents:
        match content:
            case Content(value={"kind": "MailDomain", "spec": dict()} as obj):
                yield obj
