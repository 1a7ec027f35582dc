"""Does it work through a pooler? A PgBouncer in transaction mode in front of a test's database."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.support.apiserver import LOOPBACK, ProcessGroup, port_of, reserved_port

UNPRIVILEGED = "nobody"
START = 20.0


def pgbouncer() -> str:
    """The program. Without it the test is skipped, and fails where `CI` is true."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("no pgbouncer: install the package of that name")
    if found is None:
        pytest.skip("NO PGBOUNCER: working through a transaction pooler is not tested")
    return found


@contextmanager
def pooled(url: str, folder: Path) -> Iterator[str]:
    """The same database through a pool of two connections, each of which a transaction has to itself at most."""
    program, target = pgbouncer(), make_url(url)
    # Another user of the machine can't share a reserved port: it is free once more when it is needed.
    with reserved_port() as holder:
        port = port_of(holder)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n{target.database} = {_where(url)}\n"
        f"[pgbouncer]\nlisten_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nignore_startup_parameters = options\n",
        encoding="utf-8",
    )
    readable_by_all(settings)
    group = ProcessGroup()
    user = ["-u", _user(str(target.query.get("host", "")))] if os.geteuid() == 0 else []
    process = group.start([program, *user, str(settings)], log=folder / "pgbouncer.log")
    try:
        _wait(port, process, folder / "pgbouncer.log")
        yield target.set(host=LOOPBACK, port=port, query={}).render_as_string(hide_password=False)
    finally:
        group.kill()
        process.wait()


def readable_by_all(path: Path) -> None:
    """Let another user of this machine read a file below a folder of pytest's."""
    path.chmod(0o644)
    for folder in path.parents:
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)


def _user(host: str) -> str:
    """It refuses to run as root. A server of our own lets only its user to its socket."""
    owner = Path(host).stat().st_uid if host.startswith("/") else 0
    return pwd.getpwuid(owner).pw_name if owner else UNPRIVILEGED


def _where(url: str) -> str:
    target = make_url(url)
    found = {
        "host": target.query.get("host", target.host),
        "port": target.port or 5432,
        "user": target.username,
        "password": target.password,
    }
    return " ".join(f"{name}={value}" for name, value in found.items() if value)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        else:
            return
