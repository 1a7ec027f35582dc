"""How our own tables come to be: by `migrate` alone, exactly as the program believes them to be."""

import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from controller.errors import PlanOutdated
from controller.maildb.connecting import Gate
from controller.maildb.database import MailDatabase
from controller.maildb.own import SCHEMA, VERSIONS, own_tables
from controller.planning.changes import Changes
from controller.planning.facts import CaseState
from controller.resources.names import DomainName, ResourceKey
from tests.support.changes import case, grant, revocation, scene, write
from tests.support.database import OWNER, TABLES, MailWorld, opened

X = DomainName("x.fr")


def test_the_migrations_make_the_tables_that_the_program_knows(database_url: str, dialect: str) -> None:
    own = own_tables(dialect)
    gate = Gate(lambda: database_url)

    def ours(_item: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name not in TABLES

    with gate.reading() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_object": ours,
                "compare_type": True,
                "version_table": own.version_table,
                "version_table_schema": own.schema,
            },
        )
        assert compare_metadata(context, own.metadata) == []
    gate.close()


def test_every_version_has_its_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "controller.maildb:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == VERSIONS


def test_migrating_again_changes_nothing(database: MailDatabase, world: MailWorld) -> None:
    write(database, scene(world).changes)
    before = world.dump(), world.dump_own()
    assert database.migrate() is False
    assert (world.dump(), world.dump_own()) == before
    database.check_version()


def test_sources_that_were_at_work_before_are_known_since_their_first_entry(bare_url: str, dialect: str) -> None:
    world = MailWorld(bare_url)
    upgrade_to(bare_url, "0002")
    schema = "maildomain_controller." if dialect == "postgresql" else "mdc_"
    for day, sources in ((3, '["default/b", "default/a"]'), (1, '["default/a"]'), (2, "[]")):
        world.execute(
            f"INSERT INTO {schema}journal (at, owner, holder, what, domain, sources, reason, evidence, image)"
            f" VALUES ('2026-03-0{day} 08:00:00.000000', 'test', 'me', 'granted', 'x.fr', '{sources}', 'Entitled',"
            " '[]', '{}')"
        )
    with opened(bare_url) as database:
        database.migrate()
        known = database.snapshot((), ()).known
    assert {str(scope.key): found.since.day for scope, found in known.items()} == {"default/a": 1, "default/b": 3}


def test_what_an_earlier_program_owned_is_owned_after_an_upgrade_and_its_terms_are_not_known(
    bare_url: str, dialect: str
) -> None:
    world = MailWorld(bare_url)
    user, domain = world.user("ada@x.fr"), world.domain("x.fr")
    row = world.admin(user, domain)
    upgrade_to(bare_url, "0007")
    schema = "maildomain_controller." if dialect == "postgresql" else "mdc_"
    at = "'2026-03-01 08:00:00.000000'"
    stored = {
        name: key.replace("-", "") if dialect == "sqlite" else key
        for name, key in {"row": row, "domain": domain, "user": user}.items()
    }
    world.execute(
        f"INSERT INTO {schema}access_ledger (domain_id, user_id, access_id, owner, sources, origin, since)"
        f" VALUES (:domain, :user, :row, 'test', '[\"default/a\"]', 'granted', {at})",
        **stored,
    )
    world.execute(
        f"INSERT INTO {schema}claim (domain, owner, resource, since) VALUES ('x.fr', 'test', 'default/x', {at})"
    )
    world.execute(
        f"INSERT INTO {schema}known (owner, kind, object, since)"
        f" VALUES ('test', 'EntitlementSource', 'default/a', {at})"
    )
    with opened(bare_url) as database:
        database.migrate()
        seen = database.snapshot({X}, ())
    assert set(seen.ledger) == {row}
    assert (seen.claims[X].resource, seen.claims[X].terms) == (ResourceKey("default", "x"), None)
    assert [(known.scope.key.name, known.terms) for known in seen.known.values()] == [("a", None)]


def upgrade_to(url: str, version: str) -> None:
    """Our tables as an earlier program left them."""
    gate = Gate(lambda: url)
    with gate.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        config = Config()
        config.set_main_option("script_location", "controller.maildb:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    gate.close()


def test_migrate_touches_nothing_of_the_application(bare_url: str) -> None:
    world = MailWorld(bare_url)
    world.admin(world.user(), world.domain())
    before = world.dump()
    with opened(bare_url) as database:
        database.migrate()
        assert database.snapshot((), ()).migrated
    assert world.dump() == before


def test_two_replicas_may_migrate_at_once(bare_url: str) -> None:
    failures: list[Exception] = []

    def migrate() -> None:
        with opened(bare_url) as mine:
            try:
                mine.migrate()
            except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
                failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_take_over_moves_the_claim_with_its_ledger_and_is_journaled(
    database: MailDatabase, world: MailWorld, database_url: str
) -> None:
    set_up = scene(world)
    write(database, set_up.changes)
    planned = database.acquire()
    assert planned
    with opened(database_url, owner="other") as other:
        assert other.migrate(take_over=X) is True
        seen = other.snapshot({X}, ())
        assert seen.claims[X].owner == "other"
        assert {item.user for item in seen.ledger.values()} == {set_up.newcomer, set_up.kept.user}
        entry = other.journal(limit=1)[0]
        assert (entry.what, entry.owner, entry.domain, entry.image) == (
            "takenOver",
            "other",
            X,
            {"former_owner": OWNER},
        )
        assert write(other, Changes(revocations=(revocation(set_up.kept),))).revoked == 1
    mine = database.snapshot({X}, ())
    assert (mine.ledger, mine.cases) == ({}, ())
    with pytest.raises(PlanOutdated):
        database.write(Changes(cases=(case(set_up.kept, CaseState.CONFIRMED),)), epoch=planned)
    late = grant(world.user(), set_up.domain)
    with pytest.raises(PlanOutdated):
        write(database, Changes(grants=(late,)))


@pytest.mark.parametrize("name", ["x.fr", "unclaimed.fr"])
def test_there_is_nothing_to_take_over_from_oneself_or_from_nobody(
    database: MailDatabase, world: MailWorld, name: str
) -> None:
    write(database, Changes(claims=((X, ResourceKey("default", "x")),)))
    before = world.dump_own()
    assert database.migrate(take_over=DomainName(name)) is False
    assert world.dump_own() == before
