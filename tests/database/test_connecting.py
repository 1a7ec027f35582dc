"""How the database is reached, and what is said when it is not: fixed texts, never a password."""

from pathlib import Path

import pytest

from controller.errors import DatabaseUnavailable, InvalidInput, NotAuthorized
from controller.maildb.connecting import read_url
from controller.maildb.database import MailDatabase
from tests.support.database import MailWorld, fresh_database, opened, plain

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"{SECRET}",
        f"mysql://me:{SECRET}@host/db",
        f"postgresql+asyncpg://me:{SECRET}@host/db",
        f"postgresql://me:{SECRET}@host:port/db",
        "sqlite://",
        "sqlite:///:memory:",
        "",
    ],
)
def test_a_bad_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        MailDatabase(lambda: url, owner="test").preflight()
    assert SECRET not in str(caught.value)
    assert "sqlite:///PATH" in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_is_psycopg(scheme: str) -> None:
    assert read_url(f" {scheme}://me@host/db\n").drivername == "postgresql+psycopg"


def test_looking_for_a_database_never_makes_one(tmp_path: Path) -> None:
    path = tmp_path / "missing.sqlite3"
    with opened(f"sqlite:///{path}") as database, pytest.raises(DatabaseUnavailable):
        database.snapshot((), ())
    assert not path.exists()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite3"
    path.write_text("not a database " * 100)
    with opened(f"sqlite:///{path}") as database, pytest.raises(DatabaseUnavailable):
        database.preflight()


def test_a_path_with_blanks_and_signs_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "a b#c é"
    folder.mkdir()
    with fresh_database("sqlite", folder) as url, opened(url) as database:
        assert database.snapshot((), ()).migrated


def test_a_host_that_does_not_answer_is_unavailable_and_says_nothing_secret(tmp_path: Path) -> None:
    database = MailDatabase(lambda: f"postgresql://me:{SECRET}@/db?host={tmp_path}", owner="test")
    with pytest.raises(DatabaseUnavailable) as caught:
        database.preflight()
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_rotated_password_is_read_at_the_next_connection(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://nobody_of_this_name@/nothing?host=" + str(tmp_path))
    database = MailDatabase(file.read_text, owner="test")
    with pytest.raises(DatabaseUnavailable):
        database.pulse()
    file.write_text(database_url)
    database.pulse()
    file.write_text("sqlite:////tmp/other")
    database.close()
    with pytest.raises(InvalidInput, match="another kind"):
        database.pulse()


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_connection_that_was_cut_is_replaced(database: MailDatabase, world: MailWorld) -> None:
    database.pulse()
    world.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'maildomain-controller' AND datname = current_database()"
    )
    database.pulse()


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_sessions_are_named_and_reading_ones_can_not_write(database: MailDatabase) -> None:
    with database._gate.reading() as connection:
        settings = [
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("application_name", "transaction_read_only", "transaction_isolation")
        ]
    assert settings == ["maildomain-controller", "on", "repeatable read"]


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_locked_file_is_unavailable(
    database: MailDatabase, world: MailWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.maildb.connecting.LOCK_SECONDS", 0.05)
    with world.session() as session:
        session.exec_driver_sql("UPDATE mdc_fence SET epoch = epoch")
        with pytest.raises(DatabaseUnavailable, match="locked"):
            database.migrate()


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_role_without_privileges_is_told_so(database_url: str, world: MailWorld) -> None:
    world.execute("DROP ROLE IF EXISTS mdc_test_stranger")
    world.execute("CREATE ROLE mdc_test_stranger LOGIN")
    stranger = plain(database_url).replace("postgres@", "mdc_test_stranger@")
    with opened(stranger) as database, pytest.raises(NotAuthorized, match=r"grants\.sql"):
        database.snapshot((), ())
    world.execute("DROP ROLE mdc_test_stranger")
