"""What is declared, for those who ask who may open what? Read again only where something has changed."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from controller.cluster.cluster import Cluster
from controller.engine.listing import read_listing
from controller.errors import InvalidInput, Unavailable
from controller.resources.charter import Charter
from controller.resources.documents import Document, parse_documents
from controller.resources.maildomain import MailDomain
from controller.resources.model import Kind
from controller.resources.names import ResourceKey

Declarations = tuple[tuple[MailDomain, ...], Charter]

_ENDINGS = (".yaml", ".yml", ".json")
_RIGHTS = (Kind.DOMAIN, Kind.ROLE, Kind.BINDING, Kind.GROUP)
"""What a right to act as somebody hangs on: these alone, in the namespace of the domain; links never bring it."""

Generations = Mapping[str, Mapping[str, int]]
"""By namespace and uid."""


class ClusterDeclared:
    """The objects of a cluster. One that can't be used is not there."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._seen: Mapping[Kind, Generations] | None = None

    async def changed(self) -> Declarations | None:
        """Everything, or None while it is what it was. Raises `ClusterUnavailable` or `NotAuthorized`.

        Objects are read where one has changed: what they are written with costs questions more than the answer.
        """
        seen = {kind: await self._cluster.generations(kind) for kind in Kind}
        if self._seen == seen:
            return None
        # Read after their generations: what is newer than those is read again, and what is older never was.
        listing, _ = await read_listing(self._cluster, {})
        self._seen = seen
        return listing.domains, listing.charter

    async def stands(self, domain: ResourceKey) -> bool:
        """Whether a right to act as somebody in this domain is declared as `changed` has seen it last.

        Raises `ClusterUnavailable` or `NotAuthorized`.
        """
        place, seen = domain.namespace, self._seen or {}
        now = await asyncio.gather(*(self._cluster.generations(kind, place) for kind in _RIGHTS))
        return all(
            found.get(place, {}) == seen.get(kind, {}).get(place, {}) for kind, found in zip(_RIGHTS, now, strict=True)
        )


class FolderDeclared:
    """The manifests of a folder with all below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: frozenset[_Stamp] | None = None

    async def changed(self) -> Declarations | None:
        """Everything, or None while no file has changed. Raises `Unavailable` while a file can't be used."""
        return await asyncio.to_thread(self._changed)

    async def stands(self, domain: ResourceKey) -> bool:  # noqa: ARG002  # any file may declare anything
        """Whether no file has changed since `changed` has looked. Raises `Unavailable`."""
        return await asyncio.to_thread(lambda: self._stamps() == self._seen)

    def _changed(self) -> Declarations | None:
        seen = self._stamps()
        if seen == self._seen:
            return None
        try:
            paths = sorted(stamp[0] for stamp in seen)
            declared = parse_documents(Document(path, Path(path).read_text(encoding="utf-8")) for path in paths)
        except (OSError, UnicodeDecodeError, InvalidInput) as error:
            raise _unusable(error) from None
        self._seen = seen
        return declared.domains, declared.charter

    def _stamps(self) -> frozenset["_Stamp"]:
        try:
            return frozenset(_files(os.fspath(self._folder)))
        except OSError as error:
            raise _unusable(error) from None


_Stamp = tuple[str, int, int, int]
"""Path, time, size and inode: a file that was replaced within one tick of the clock has another inode."""


def _files(folder: str) -> Iterator[_Stamp]:
    """Hidden ones are left out, as for the command line: `.git`, and `..data` of a mount."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.name.endswith(_ENDINGS) and entry.is_file():
                state = entry.stat()
                yield entry.path, state.st_mtime_ns, state.st_size, state.st_ino


def _unusable(error: Exception) -> Unavailable:
    return Unavailable(f"the folder holds what can't be used ({type(error).__name__}): see validate")
