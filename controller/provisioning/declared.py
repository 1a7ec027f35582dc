"""What is declared, for those who ask who may open what? Read again only where something has changed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from controller.cluster.cluster import Cluster
from controller.engine.listing import read_listing
from controller.engine.news import Mark
from controller.errors import InvalidInput, Unavailable
from controller.resources.charter import Charter
from controller.resources.documents import Document, parse_documents
from controller.resources.maildomain import MailDomain

Declarations = tuple[tuple[MailDomain, ...], Charter]

_ENDINGS = frozenset({".yaml", ".yml", ".json"})


class ClusterDeclared:
    """The objects of a cluster. One that can't be used is not there."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._seen: dict[str, Mark] | None = None

    async def changed(self) -> Declarations | None:
        """Everything, or None while it is what it was. Raises `ClusterUnavailable` or `NotAuthorized`."""
        listing = await read_listing(self._cluster)
        if self._seen == listing.marks:
            return None
        self._seen = dict(listing.marks)
        return tuple(listing.domains), listing.charter


class FolderDeclared:
    """The manifests of a folder with all below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: frozenset[tuple[str, int, int]] | None = None

    async def changed(self) -> Declarations | None:
        """Everything, or None while no file has changed. Raises `Unavailable` while a file can't be used."""
        return await asyncio.to_thread(self._changed)

    def _changed(self) -> Declarations | None:
        try:
            files = {path: path.stat() for path in sorted(_manifests(self._folder))}
            seen = frozenset((str(path), state.st_mtime_ns, state.st_size) for path, state in files.items())
            if seen == self._seen:
                return None
            declared = parse_documents(Document(str(path), path.read_text(encoding="utf-8")) for path in files)
        except (OSError, UnicodeDecodeError, InvalidInput) as error:
            raise Unavailable(f"the folder holds what can't be used ({type(error).__name__}): see validate") from None
        self._seen = seen
        return declared.domains, declared.charter


def _manifests(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix in _ENDINGS and path.is_file())
