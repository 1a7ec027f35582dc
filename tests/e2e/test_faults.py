"""What happens on a bad day? No fault takes a right away, what is told is true, and all of it heals by itself.

One operator whose ways to PostgreSQL and to the API server lead through proxies; a process that ends is started again,
as the kubelet would. docs/faults.md is the table of what is seen here.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from controller.sandbox.deploycenter import Account, Behaviour
from tests.support.apiproxy import ApiProxy
from tests.support.apiserver import LOOPBACK, ControlPlane
from tests.support.database import Server, started_server
from tests.support.faults import Fault, Outcome, compare
from tests.support.hooks import (
    A_CLOCK_OF_ITS_OWN,
    IMPATIENT,
    LISTS_OFTEN,
    PAUSES_WITHIN_ITS_TRANSACTION,
    SHORT_LEASES,
)
from tests.support.operator import OperatorProcess
from tests.support.town import SIRET, Town, eventually, founded
from tests.support.wire import Strike, Wire

SOMEBODY = "u2@d000.example"
DAY = 86_400
ANY_NUMBER = {"revocations": {"max": 1000}}
"""No limit stands between a fault and a right."""


@dataclass
class Yard:
    """A town, the ways that lead to it, and the operator that works there."""

    town: Town
    server: Server
    database: Wire
    api: ApiProxy
    line: Wire
    folder: Path
    operator: OperatorProcess = field(init=False)
    changes: int = 0
    """How often the right of somebody has changed: each time is one entry of the journal."""

    def begin(self) -> None:
        """Start the operator, as the kubelet does."""
        before = SHORT_LEASES + IMPATIENT + LISTS_OFTEN + PAUSES_WITHIN_ITS_TRANSACTION + A_CLOCK_OF_ITS_OWN
        files = {"ARMED": str(self.armed), "SHIFT": str(self.shift), "OFTEN": str(self.often)}
        self.operator = self.town.start(before=before, **files)

    @property
    def armed(self) -> Path:
        return self.folder / "armed"

    @property
    def often(self) -> Path:
        return self.folder / "often"

    @property
    def shift(self) -> Path:
        return self.folder / "shift"

    def change(self) -> str:
        """Give somebody a right at DeployCenter, or take it away, and ask for a wave; the request's value."""
        self.changes += 1
        accounts = self.town.center.world.accounts
        had = [account for account in accounts if account.email == SOMEBODY]
        if had:
            accounts.remove(had[0])
        else:
            accounts.append(Account(SOMEBODY, SIRET, links={"admin": {"domains": ["d000.example"]}}))
        return self.request()

    def request(self) -> str:
        """Ask the source to ask everybody; the request's value."""
        self.town.pokes += 1
        value = f"request-{self.town.pokes}"
        self.town.kubectl.run(
            "annotate", "mdsrc/dc", f"maildomain.dev/requestedAt={value}", "--overwrite", "-n", self.town.namespace
        )
        return value

    def carried_out(self, value: str) -> str:
        """Wait until a request is handled: rows, journal and conditions are as they should be."""
        self.town.wait("mdsrc/dc", f"jsonpath={{.status.lastHandledReconcileAt}}={value}")
        eventually(lambda: self.written == self.changes)
        eventually(lambda: self.told() == "True Answering; True InSync")
        assert len(self.town.rows()) == 4 + self.changes % 2
        assert self.lost_by_others == [], "not even for a moment"
        return "the change is made, once"

    @property
    def written(self) -> int:
        """How often the journal says that the right of somebody was given or taken."""
        user = self.somebody
        return sum(entry["user_id"] == user for entry in self.journal())

    @property
    def lost_by_others(self) -> list[dict[str, Any]]:
        """What the journal says was taken from anybody else."""
        user = self.somebody
        return [entry for entry in self.journal() if entry["what"] == "revoked" and entry["user_id"] != user]

    @property
    def somebody(self) -> str:
        (user,) = self.town.mail.execute("SELECT id FROM messages_user WHERE email = :email", email=SOMEBODY)
        return str(user["id"])

    def journal(self) -> list[dict[str, Any]]:
        return [json.loads(entry) for entry in self.town.mail.dump_own()["journal"]]

    def told(self) -> str:
        """Ready of the source and of a domain."""
        pairs = (self.town.ready_of("mdsrc", "dc"), self.town.ready_of("maildomains", "d000-example"))
        return "; ".join(" ".join(pair) for pair in pairs)

    def process(self) -> str:
        """Whether the operator that was there still is, and is well."""
        assert self.operator.running.poll() is None, self.operator.tail()
        assert self.operator.get("/healthz") == (200, "ok")
        return "lives"

    def restarted(self) -> str:
        """Wait until it has ended by itself, and start it again."""
        code = self.operator.wait()
        assert "Traceback" not in self.operator.text()
        self.begin()
        return f"ends with {code}, is started again"

    @contextmanager
    def nobody_entitled(self) -> Iterator[None]:
        """Who believes what is not said would empty every domain."""
        accounts = self.town.center.world.accounts
        kept = list(accounts)
        accounts.clear()
        try:
            yield
        finally:
            accounts[:] = kept


@pytest.fixture(scope="module")
def yard(control_plane: ControlPlane, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """Two domains with two administrators and one who comes and goes."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        server = started_server()
        database = stack.enter_context(Wire.laid(server.socket / ".s.PGSQL.5432"))
        api = stack.enter_context(ApiProxy.before(control_plane))
        line = stack.enter_context(Wire.laid((LOOPBACK, api.port)))
        town = stack.enter_context(
            founded(
                control_plane,
                api.kubeconfig(kubeconfig, line.port),
                stack.enter_context(control_plane.namespace()),
                folder,
                database=server.database(),
                through=lambda url: nullcontext(by_way_of(database, url)),
            )
        )
        town.grow(2)
        yard = Yard(town, server, database, api, line, folder)
        yard.shift.write_text("0", encoding="utf-8")
        yard.begin()
        secret, *_ = town.declaration(0)
        town.apply(secret, source(town), *(town.maildomain(f"d00{n}.example", limits=ANY_NUMBER) for n in range(2)))
        town.ready()
        yield yard


def by_way_of(wire: Wire, url: str) -> str:
    return make_url(url).set(host=LOOPBACK, port=wire.port, query={}).render_as_string(hide_password=False)


def source(town: Town) -> dict[str, Any]:
    """A source that confirms nothing and is not patient."""
    found = town.source(confirmRevocations={"after": "0s"}, limits=ANY_NUMBER)
    found["spec"]["provider"]["deployCenter"]["timeout"] = "1s"
    return found


# --- DeployCenter ---


@pytest.mark.parametrize(
    ("fault", "behaviour"),
    [
        (Fault.CENTER_SLOW, Behaviour.SLOW),
        (Fault.CENTER_CUT, Behaviour.DOWN),
        (Fault.CENTER_TRUNCATED, Behaviour.TRUNCATED),
        (Fault.CENTER_HTML, Behaviour.LOGIN_PAGE),
        (Fault.CENTER_REDIRECT, Behaviour.REDIRECT),
        (Fault.CENTER_HUGE, Behaviour.HUGE),
        (Fault.CENTER_UNAUTHENTICATED, Behaviour.UNAUTHENTICATED),
    ],
)
def test_what_is_no_answer_takes_no_right_away(yard: Yard, fault: Fault, behaviour: Behaviour) -> None:
    rows = yard.town.rows()
    with yard.nobody_entitled():
        yard.town.center.behaviour = behaviour
        yard.town.poke()
        told, meanwhile = yard.told(), yard.town.rows()
        yard.town.center.behaviour = None
    assert meanwhile == rows
    process = yard.process()
    compare(fault, Outcome(process, "as they were", told, yard.carried_out(yard.change())))


def test_an_error_about_one_user_is_that_users_alone(yard: Yard) -> None:
    rows = yard.town.rows()
    yard.town.center.behaviours["u0@d000.example"] = Behaviour.SERVER_ERROR
    accounts = yard.town.center.world.accounts
    kept = accounts.pop(0)
    assert kept.email == "u0@d000.example"
    yard.town.poke()
    told, meanwhile = yard.told(), yard.town.rows()
    assert meanwhile == rows
    others = yard.carried_out(yard.change())
    yard.town.center.behaviours.clear()
    accounts.insert(0, kept)
    yard.town.poke()
    compare(Fault.CENTER_ONE_USER, Outcome(yard.process(), "as they were", told, others))


def test_a_secret_that_is_gone_is_no_empty_answer(yard: Yard) -> None:
    rows = yard.town.rows()
    secret, *_ = yard.town.declaration(0)
    with yard.nobody_entitled():
        yard.town.kubectl.run("delete", "secret", "dc", "-n", yard.town.namespace)
        yard.town.wait("mdsrc/dc", "jsonpath={.status.conditions[?(@.type=='Ready')].reason}=SecretMissing")
        yard.town.poke()
        told, meanwhile = yard.told(), yard.town.rows()
    assert meanwhile == rows
    yard.town.apply(secret)
    yard.town.wait("mdsrc/dc", "condition=Ready")
    compare(Fault.SECRET_GONE, Outcome(yard.process(), "as they were", told, yard.carried_out(yard.change())))


# --- the API server ---


def expired(yard: Yard) -> None:
    yard.api.expire()


def cut(yard: Yard) -> None:
    yard.line.cut()


def hushed(yard: Yard) -> None:
    yard.line.hush()


def restarted(yard: Yard) -> None:
    yard.api.control_plane.restart()


@pytest.mark.parametrize(
    ("fault", "strike"),
    [
        (Fault.API_CUT, cut),
        (Fault.API_HUSHED, hushed),
        (Fault.API_EXPIRED, expired),
        (Fault.API_RESTARTED, restarted),
    ],
)
def test_a_change_is_seen_whatever_became_of_the_watches(
    yard: Yard, fault: Fault, strike: Callable[[Yard], None]
) -> None:
    rows = yard.town.rows()
    strike(yard)
    told, meanwhile = yard.told(), yard.town.rows()
    assert meanwhile == rows
    afterwards = yard.carried_out(yard.change())
    compare(fault, Outcome(yard.process(), "as they were", told, afterwards))


def test_an_api_server_that_throttles_is_waited_for(yard: Yard) -> None:
    rows = yard.town.rows()
    with yard.api.refusing(429):
        value = yard.change()
        asked = len(yard.api.asked)
        eventually(lambda: len(yard.api.asked) > asked + 5)
        told, meanwhile, process = yard.told(), yard.town.rows(), yard.process()
    assert meanwhile == rows
    compare(Fault.API_THROTTLED, Outcome(process, "as they were", told, yard.carried_out(value)))


def test_an_api_server_that_fails_for_good_ends_the_process_clearly(yard: Yard) -> None:
    rows = yard.town.rows()
    with yard.api.refusing(500):
        value = yard.change()
        assert yard.operator.wait() == 7
        told, meanwhile = yard.told(), yard.town.rows()
    assert meanwhile == rows
    assert "has ended (500)" in yard.operator.text()
    process = yard.restarted()
    compare(Fault.API_ERRORS, Outcome(process, "as they were", told, yard.carried_out(value)))


def test_a_watch_that_is_silently_dead_ends_in_a_restart(yard: Yard) -> None:
    with yard.api.silent():
        value = yard.change()
        yard.often.touch()
        assert yard.operator.wait() == 7
        told = yard.told()
    yard.often.unlink()
    assert "the watch does not tell of changes that lists show" in yard.operator.text()
    process = yard.restarted()
    afterwards = yard.carried_out(value)
    compare(Fault.API_DEAF, Outcome(process, "the change is made: lists show it", told, afterwards))


# --- PostgreSQL ---


def test_connections_that_are_cut_at_rest_are_replaced(yard: Yard) -> None:
    rows = yard.town.rows()
    yard.database.cut()
    told, meanwhile = yard.told(), yard.town.rows()
    assert meanwhile == rows
    afterwards = yard.carried_out(yard.change())
    compare(Fault.DATABASE_CUT, Outcome(yard.process(), "as they were", told, afterwards))


def test_a_restart_in_the_middle_of_a_transaction_leaves_nothing_of_it(yard: Yard) -> None:
    rows = yard.town.rows()
    yard.armed.touch()
    said = yard.operator.text().count("about to write")
    value = yard.change()
    eventually(lambda: yard.operator.text().count("about to write") > said)
    yard.server.restart()
    yard.armed.unlink()
    told, meanwhile = yard.told(), yard.town.rows()
    assert meanwhile == rows
    compare(Fault.DATABASE_RESTARTED, Outcome("lives", "as they were", told, yard.carried_out(value)))
    yard.process()


@pytest.mark.parametrize(
    ("fault", "where", "rows"),
    [
        (Fault.COMMIT_LOST, Strike.BEFORE, "as they were"),
        (Fault.COMMIT_UNANSWERED, Strike.AFTER, "the change is made"),
    ],
)
def test_after_a_commit_without_an_answer_the_database_is_read_again(
    yard: Yard, fault: Fault, where: Strike, rows: str
) -> None:
    yard.database.strike(where, after=b"INSERT INTO maildomain_controller.journal")
    value = yard.change()
    assert yard.database.struck.wait(60)
    told = yard.told()
    afterwards = yard.carried_out(value)
    compare(fault, Outcome(yard.process(), rows, told, afterwards))


def test_a_database_that_is_away_is_told_and_waited_for(yard: Yard) -> None:
    rows = yard.town.rows()
    with yard.database.away():
        value = yard.change()
        eventually(lambda: "DatabaseUnavailable; Unknown DatabaseUnavailable" in yard.told())
        told, meanwhile, process = yard.told(), yard.town.rows(), yard.process()
    assert meanwhile == rows
    compare(Fault.DATABASE_AWAY, Outcome(process, "as they were", told, yard.carried_out(value)))


def test_a_database_that_says_nothing_fails_the_liveness(yard: Yard) -> None:
    rows = yard.town.rows()
    with yard.database.silent():
        value = yard.change()
        eventually(lambda: yard.operator.get("/healthz") == (503, "the loop stands still"))
        told, meanwhile = yard.told(), yard.town.rows()
        yard.operator.kill()
    assert meanwhile == rows
    yard.begin()
    process = "stands still, fails its liveness, is started again"
    compare(Fault.DATABASE_SILENT, Outcome(process, "as they were", told, yard.carried_out(value)))


FAILING = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a bad day' USING ERRCODE = '{code}'; END $$;
CREATE TRIGGER failing BEFORE INSERT OR DELETE ON messages_maildomainaccess EXECUTE FUNCTION fail()
"""
HEALING = "DROP TRIGGER failing ON messages_maildomainaccess; DROP FUNCTION fail()"


@contextmanager
def failing(yard: Yard, code: str) -> Iterator[None]:
    """Each write of an access ends with this error."""
    with psycopg.connect(plain_url(yard)) as connection:
        connection.execute(FAILING.format(code=code))
    try:
        yield
    finally:
        with psycopg.connect(plain_url(yard)) as connection:
            connection.execute(HEALING)


def plain_url(yard: Yard) -> str:
    return make_url(yard.town.mail.url).set(drivername="postgresql").render_as_string(hide_password=False)


def test_a_serialization_failure_is_planned_again(yard: Yard) -> None:
    rows = yard.town.rows()
    with failing(yard, "40001"):
        outdated = yard.operator.metric("passes_total", outcome="outdated") or 0
        value = yard.change()
        eventually(lambda: (yard.operator.metric("passes_total", outcome="outdated") or 0) > outdated + 1)
        told, meanwhile = yard.told(), yard.town.rows()
    assert meanwhile == rows
    compare(Fault.SERIALIZATION, Outcome(yard.process(), "as they were", told, yard.carried_out(value)))


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.DISK_FULL, "53100"), (Fault.READ_ONLY, "25006")],
)
def test_a_database_that_takes_no_write_is_told_and_waited_for(yard: Yard, fault: Fault, code: str) -> None:
    rows = yard.town.rows()
    with failing(yard, code):
        value = yard.change()
        eventually(lambda: "DatabaseUnavailable; Unknown DatabaseUnavailable" in yard.told())
        told, meanwhile, process = yard.told(), yard.town.rows(), yard.process()
    assert meanwhile == rows
    assert f"({code})" in yard.operator.text()
    compare(fault, Outcome(process, "as they were", told, yard.carried_out(value)))


# --- the process ---


@pytest.mark.parametrize(("fault", "shift"), [(Fault.CLOCK_AHEAD, DAY), (Fault.CLOCK_BACK, -DAY)])
def test_a_clock_that_jumps_changes_no_right(yard: Yard, fault: Fault, shift: int) -> None:
    rows = yard.town.rows()
    yard.shift.write_text(str(shift), encoding="utf-8")
    yard.town.poke()
    told, meanwhile = yard.told(), yard.town.rows()
    assert meanwhile == rows
    assert wave_ended(yard) == pytest.approx(time.time() + shift, abs=600)
    afterwards = yard.carried_out(yard.change())
    yard.shift.write_text("0", encoding="utf-8")
    assert yard.carried_out(yard.change()) == afterwards
    compare(fault, Outcome(yard.process(), "as they were", told, afterwards))


def wave_ended(yard: Yard) -> float:
    """What the operator takes for the time, as its own status shows it."""
    written = yard.town.get("mdsrc", "dc").status["wave"]["finishedAt"]
    return time.mktime(time.strptime(written, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
