"""What is refused: every shape of the application's tables that we do not know, column by column, with zero writes."""

import pytest

from controller.errors import DatabaseUnavailable, MigrationNeeded, SchemaUnknown
from controller.maildb.database import MailDatabase
from controller.planning.changes import Changes
from tests.support.changes import grant
from tests.support.database import MailWorld, application_ddl, opened

ACCESS = "messages_maildomainaccess"


def refusal(url: str) -> tuple[str, ...]:
    with opened(url) as database:
        with pytest.raises(SchemaUnknown) as caught:
            database.preflight()
        return caught.value.differences


def remade(world: MailWorld, table: str, before: str, after: str) -> None:
    """Make one table again, with its definition changed."""
    (definition,) = (item for item in application_ddl(world.dialect) if f"TABLE {table} (" in item)
    assert before in definition
    with world.session() as connection:
        cascade = " CASCADE" if world.dialect == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TABLE {table}{cascade}")
        connection.exec_driver_sql(definition.replace(before, after))


def test_the_known_shape_passes(database: MailDatabase) -> None:
    database.preflight()


def test_further_columns_and_tables_do_not_matter(database: MailDatabase, world: MailWorld) -> None:
    world.execute("CREATE TABLE messages_other (id integer)")
    world.execute(f"ALTER TABLE {ACCESS} ADD COLUMN note text")
    world.execute(f"ALTER TABLE {ACCESS} ADD COLUMN level integer NOT NULL DEFAULT 3")
    world.execute("ALTER TABLE messages_user ADD COLUMN short_name varchar(20) NOT NULL DEFAULT ''")
    database.preflight()


@pytest.mark.parametrize(
    ("table", "before", "after", "difference"),
    [
        (ACCESS, "role smallint NOT NULL", "role bytea NOT NULL", "role: is bytea, expected smallint or varchar"),
        (ACCESS, "role smallint NOT NULL", "role smallint", "role: is nullable, expected NOT NULL"),
        (
            ACCESS,
            "role smallint NOT NULL",
            "role smallint NOT NULL, note varchar(9) NOT NULL",
            "note: is NOT NULL without a default, expected a column that may be left out",
        ),
        (ACCESS, "role smallint NOT NULL", "rank smallint", "role: is missing, expected smallint or varchar"),
        ("messages_user", "email varchar(254)", "mail varchar(254)", "email: is missing, expected varchar"),
        (
            "messages_maildomain",
            "name varchar(253) NOT NULL UNIQUE",
            "name varchar(253)",
            "name: is nullable, expected NOT NULL",
        ),
    ],
)
def test_a_difference_is_named_with_its_column(
    world: MailWorld, table: str, before: str, after: str, difference: str
) -> None:
    remade(world, table, before, after)
    assert refusal(world.url) == (f"{table}.{difference}",)


def test_a_missing_table_is_named(world: MailWorld) -> None:
    world.execute(f"DROP TABLE {ACCESS}")
    assert refusal(world.url) == (f"{ACCESS}: is missing, expected a table",)


def test_without_a_unique_key_nothing_is_written(world: MailWorld) -> None:
    remade(world, ACCESS, "UNIQUE (maildomain_id, user_id)", "CHECK (user_id IS NOT NULL)")
    assert refusal(world.url) == (f"{ACCESS}: has no UNIQUE (maildomain_id, user_id), expected one",)


def test_a_partial_unique_index_is_not_enough(world: MailWorld) -> None:
    remade(world, ACCESS, "UNIQUE (maildomain_id, user_id)", "CHECK (user_id IS NOT NULL)")
    world.execute(f"CREATE UNIQUE INDEX half ON {ACCESS} (maildomain_id, user_id) WHERE role = 1")
    assert refusal(world.url)
    world.execute(f"CREATE UNIQUE INDEX whole ON {ACCESS} (user_id, maildomain_id)")
    with opened(world.url) as database:
        database.preflight()


def test_every_difference_is_told_at_once(world: MailWorld) -> None:
    world.execute("ALTER TABLE messages_user RENAME COLUMN is_active TO enabled")
    world.execute("ALTER TABLE messages_user RENAME COLUMN email TO mail")
    assert len(refusal(world.url)) == 2


def test_an_unknown_schema_is_never_written(database: MailDatabase, world: MailWorld) -> None:
    user, domain = world.user(), world.domain()
    world.execute("ALTER TABLE messages_user RENAME COLUMN is_active TO enabled")
    before = world.dump(), world.dump_own()
    with database.seized() as epoch:
        for act in (database.pulse, database.export_facts, lambda: database.snapshot((), ())):
            with pytest.raises(SchemaUnknown):
                act()
        with pytest.raises(SchemaUnknown):
            database.write(Changes(grants=(grant(user, domain),)), epoch=epoch)
    assert (world.dump(), world.dump_own()) == before


def test_a_schema_that_changes_between_plan_and_write_is_not_written(database: MailDatabase, world: MailWorld) -> None:
    """Even where every statement would still work."""
    user, domain = world.user(), world.domain()
    with database.seized() as epoch:
        database.snapshot((), ())
        remade(world, ACCESS, "role smallint NOT NULL", "role smallint")
        before = world.dump(), world.dump_own()
        with pytest.raises(SchemaUnknown, match="role: is nullable"):
            database.write(Changes(grants=(grant(user, domain),)), epoch=epoch)
    assert (world.dump(), world.dump_own()) == before


def test_a_schema_that_changes_under_a_running_process_is_noticed(database: MailDatabase, world: MailWorld) -> None:
    database.pulse()
    world.execute("ALTER TABLE messages_user RENAME COLUMN is_active TO enabled")
    with pytest.raises((SchemaUnknown, DatabaseUnavailable)):
        database.pulse()
    with pytest.raises(SchemaUnknown, match=r"messages_user\.is_active: is missing"):
        database.pulse()


def test_tables_of_an_unknown_version_are_not_touched(database: MailDatabase, world: MailWorld) -> None:
    schema, prefix = ("maildomain_controller.", "") if world.dialect == "postgresql" else ("", "mdc_")
    world.execute(f"UPDATE {schema}{prefix}alembic_version SET version_num = '9999'")
    for act in (database.check_version, database.acquire, database.migrate, lambda: database.snapshot((), ())):
        with pytest.raises(MigrationNeeded, match="newer than this program"):
            act()


def test_before_migrate_only_reading_works(bare_url: str) -> None:
    with opened(bare_url) as database:
        database.snapshot((), ())
        changes = Changes(grants=(grant("u", "d"),))
        for act in (
            database.check_version,
            database.acquire,
            database.seize,
            database.status_facts,
            database.journal,
            lambda: database.write(changes, epoch=0),
        ):
            with pytest.raises(MigrationNeeded, match="migrate"):
                act()


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_role_named_like_our_schema_finds_the_application_all_the_same(world: MailWorld) -> None:
    (found,) = world.execute("SELECT current_database() AS name")
    world.execute(f"ALTER DATABASE {found['name']} SET search_path = 'maildomain_controller', 'public'")
    with opened(world.url) as database:
        database.preflight()
        assert database.snapshot((), ()).migrated
