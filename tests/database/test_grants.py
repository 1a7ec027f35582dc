"""What the least privilege is: everything works under exactly the GRANTs of `docs/grants.sql`, and nothing beyond."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controller.engine.rollback import release, undo
from controller.errors import MigrationNeeded, NotAuthorized, SchemaUnknown
from controller.maildb.database import MailDatabase
from controller.maildb.grants import OWN, Grants
from controller.maildb.journal import Selection
from controller.planning.changes import Changes
from controller.planning.facts import CaseState, Scope
from controller.resources.names import DomainName
from tests.support.changes import SOURCE, case, hold, scene
from tests.support.database import MailWorld, fresh_database, opened
from tests.support.permissions import COMMUNE, binding, maildomain, role
from tests.support.roles import SCRIPT, as_role, psql, with_role
from tests.support.services import household

OWNER_ROLE, ROLE, READER = "mdc_test_owner", "mdc_test_controller", "mdc_test_reader"
SERVE_ROLE, SERVICE_ROLE = "mdc_test_serve", "mdc_test_service"
REVIEW_ROLE = "mdc_test_review"
ROLES = (OWNER_ROLE, ROLE, READER, SERVE_ROLE, SERVICE_ROLE, REVIEW_ROLE)
X = DomainName("x.fr")
SCOPE = Scope("EntitlementSource", SOURCE)
WRITTEN = (
    *("messages_user", "messages_maildomain", "messages_maildomainaccess"),
    *(f"maildomain_controller.{name}" for name in OWN if name != "alembic_version"),
)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[MailWorld]:
    """A database whose tables belong to one role, migrated by it, and granted to another by the script."""
    with fresh_database("postgresql", tmp_path, migrated=False) as url:
        world = MailWorld(url)
        (found,) = world.execute("SELECT current_database() AS name")
        for role in ROLES:
            with_role(url, role)
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
        for more in (
            (),
            ("-v", f"serve_role={SERVE_ROLE}", "-v", f"reader_role={SERVICE_ROLE}", "-v", f"review_role={REVIEW_ROLE}"),
        ):
            ran = psql(owner, "-v", f"role={ROLE}", *more, "-f", str(SCRIPT))
            assert (ran.returncode, ran.stderr) == (0, "")
        yield world
        for role in ROLES:
            world.execute(f"DROP OWNED BY {role} CASCADE")


@pytest.fixture
def database(installed: MailWorld) -> Iterator[MailDatabase]:
    with opened(as_role(installed.url, ROLE)) as found:
        yield found


def work(database: MailDatabase, world: MailWorld) -> None:
    """Everything that a process does with a mail database, once."""
    set_up = scene(world)
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
    assert database.population().domains
    assert database.owners()
    database.freeze("a look")
    database.await_writes()
    database.lift_freeze()
    assert database.note_acting_as(X, set_up.newcomer, set_up.newcomer, ())
    assert database.holds_of(SCOPE) == ()
    database.note_hints({X})
    with world.session() as connection:
        connection.exec_driver_sql("UPDATE maildomain_controller.hint SET due_at = now()")
    assert database.take_hints()
    commune = household(database, world, "anne", "ben")
    acting = (role("member", ["docs"], acts_as="All"), binding("member", f"anne@{COMMUNE}"))
    served = maildomain(default="member")
    commune.decide(served, *acting)
    commune.decide(served.model_copy(update={"spec": served.spec.model_copy(update={"service_access": None})}))
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
    assert database.grants() == Grants()


def test_everything_works_under_exactly_these_grants(database: MailDatabase, installed: MailWorld) -> None:
    work(database, installed)
    assert database.grants() == Grants()


@pytest.mark.timeout(300)
def test_without_any_single_grant_something_fails_and_check_names_it(installed: MailWorld) -> None:
    granted, owner = granted_to(ROLE, installed), MailWorld(as_role(installed.url, OWNER_ROLE))
    assert len(granted) > 30
    for grant in granted:
        owner.execute(f"REVOKE {grant} FROM {ROLE}")
        # A process of its own: one that has looked at the tables before may not look again.
        with opened(as_role(installed.url, ROLE)) as database:
            assert database.grants() == Grants(missing=(named(grant),))
            with pytest.raises((NotAuthorized, SchemaUnknown, MigrationNeeded)):
                work(database, installed)
        owner.execute(f"GRANT {grant} TO {ROLE}")
        installed.execute(f"TRUNCATE {', '.join(WRITTEN)} CASCADE")


def granted_to(role: str, world: MailWorld) -> list[str]:
    """Each privilege of a role on its own, as GRANT spells it."""
    found = world.execute(
        """
        SELECT privilege_type || ' ON ' || table_schema || '.' || table_name AS one
        FROM information_schema.role_table_grants WHERE grantee = :role
        UNION
        SELECT privilege_type || ' (' || column_name || ') ON ' || table_schema || '.' || table_name
        FROM information_schema.role_column_grants WHERE grantee = :role AND table_name = 'messages_user'
        UNION
        SELECT 'USAGE ON SCHEMA ' || nspname FROM pg_namespace, aclexplode(nspacl) acl
        WHERE acl.grantee = CAST(:role AS regrole) AND acl.privilege_type = 'USAGE'
        ORDER BY one""",
        role=role,
    )
    return [row["one"] for row in found]


def named(grant: str) -> str:
    """The same in the words of `check`."""
    column = re.fullmatch(r"(\w+) \((\w+)\) ON public\.(\w+)", grant)
    if column:
        return f"{column[1]} on {column[3]}.{column[2]}"
    return grant.replace(" ON SCHEMA ", " on the schema ").replace(" ON public.", " on ").replace(" ON ", " on ")


def test_what_is_beyond_the_script_is_named(database: MailDatabase, installed: MailWorld) -> None:
    journal = "maildomain_controller.journal"
    others = "something on tables that are no concern of ours, 1 of them, such as mailbox"
    owner = "the role owns messages_maildomain, or is a member of the role that does"
    wider = {
        f"GRANT UPDATE ON messages_maildomainaccess TO {ROLE}": "UPDATE on messages_maildomainaccess",
        f"GRANT SELECT (password) ON messages_user TO {ROLE}": "SELECT on messages_user.password",
        f"GRANT UPDATE ON {journal} TO {ROLE}": f"UPDATE on {journal}",
        f"GRANT CREATE ON SCHEMA public TO {ROLE}": "CREATE on the schema public",
        f"CREATE TABLE mailbox (id integer); GRANT SELECT ON mailbox TO {ROLE}": others,
        f"ALTER TABLE messages_maildomain OWNER TO {ROLE}": owner,
    }
    for statement in wider:
        installed.execute(statement)
    assert sorted(database.grants().excess) == sorted(wider.values())
    assert not database.grants().missing


def test_a_superuser_is_named_as_one(installed: MailWorld) -> None:
    with opened(installed.url) as database:
        assert database.grants() == Grants(excess=("the role is a superuser",))


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
    with opened(as_role(installed.url, REVIEW_ROLE)) as answering:
        answering.pulse()
        assert answering.population().census.people
        assert answering.claims()
        answering.purchases(commune.row)
        assert answering.note_acting_as(X, commune.people["anne"], commune.people["anne"], ["docs"])
        with pytest.raises(NotAuthorized), answering._gate.writing() as connection:
            connection.exec_driver_sql("DELETE FROM maildomain_controller.service_access")
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
