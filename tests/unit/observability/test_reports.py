"""What does an error report tell, and how often? Type and place, once; never an e-mail, a sub, a key or a body."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sqlalchemy.exc import IntegrityError
from structlog.contextvars import bound_contextvars

from controller.cli import main as command_line
from controller.errors import DatabaseUnavailable, InvalidInput
from controller.observability.lasting import LASTING, LastingFailures
from controller.observability.logging import configure_logging
from controller.observability.metrics import Metrics
from controller.observability.reports import REPORTS
from controller.operator import main as operator
from controller.operator.install import Install
from controller.provisioning import main as api
from controller.provisioning.application import application
from controller.provisioning.authentication import Bearer, KeyRing
from controller.provisioning.endpoint import Endpoint
from controller.provisioning.rates import Rates
from controller.settings import ApiSettings, ReportSettings, Settings, read_report_settings
from tests.support.provisioning import BEARER, KEY, write_keys

DSN = "https://public@errors.example/7"
EMAIL, SUB, SECRET = "jeanne.martin@commune.example", "7f4a1c9e-sub", "s3cret-key"
BODY = json.dumps({"entitlements": {"can_admin_maildomains": ["commune.example"]}, "email": EMAIL, "sub": SUB})
PRIVATE = (EMAIL, "jeanne", "martin", SUB, SECRET, "can_admin_maildomains")

log = structlog.get_logger("engine")


class Sent(Transport):
    """Keeps what would go to the service, in the bytes that would go there."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__({"dsn": DSN})
        self.text = ""
        self.events: list[Any] = []
        self.log = io.StringIO()
        self._broken = broken

    @property
    def logged(self) -> str:
        """The log beside it."""
        return self.log.getvalue()

    def capture_envelope(self, envelope: Envelope) -> None:
        if self._broken:
            raise ConnectionError(SECRET)
        self.text += envelope.serialize().decode()
        self.events.append(envelope.get_event())


@pytest.fixture
def sent() -> Iterator[Sent]:
    """What is reported by a process that logs everything."""
    yield from reporting(Sent())


@pytest.fixture
def unreachable() -> Iterator[Sent]:
    yield from reporting(Sent(broken=True))


def reporting(transport: Sent) -> Iterator[Sent]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("json", "DEBUG")
    ours = root.handlers[0]
    assert isinstance(ours, logging.StreamHandler)
    ours.setStream(transport.log)
    REPORTS.open(ReportSettings.model_validate({"sentry_dsn": DSN, "sentry_environment": "test"}), transport)
    yield transport
    REPORTS.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def ask(api_key: str, body: str) -> None:
    """A call with variables that nobody may see, which fails in every way that there is."""
    subject = {"email": EMAIL, "sub": SUB}
    raise KeyError(f"{subject} {body} {api_key}")


def fail_by_chain() -> None:
    try:
        ask(SECRET, BODY)
    except KeyError as error:
        raise RuntimeError(BODY) from error


def fail_while_handling() -> None:
    try:
        ask(SECRET, BODY)
    except KeyError:
        raise ValueError(SUB)  # noqa: B904  # what was being handled is told as well


def fail_together() -> None:
    raise ExceptionGroup(EMAIL, [ValueError(SECRET), KeyError(SUB)])


def fail_on_the_wire() -> None:
    request = httpx.Request("GET", f"https://dc.example/?account_email={EMAIL}", headers={"X-Service-Auth": SECRET})
    httpx.Response(500, text=BODY, request=request).raise_for_status()


def fail_in_the_database() -> None:
    raise IntegrityError("INSERT INTO messages_user VALUES (?, ?)", (EMAIL, SUB), ValueError(BODY))


def fail_on_a_file() -> None:
    Path(f"/nonexistent/{SUB}").read_text(encoding="utf-8")


FAILURES = [
    (lambda: ask(SECRET, BODY), "KeyError"),
    (fail_by_chain, "RuntimeError"),
    (fail_while_handling, "ValueError"),
    (fail_together, "ExceptionGroup"),
    (fail_on_the_wire, "HTTPStatusError"),
    (fail_in_the_database, "IntegrityError"),
    (fail_on_a_file, "FileNotFoundError"),
]


@pytest.mark.parametrize(("fail", "kind"), FAILURES, ids=[kind for _, kind in FAILURES])
def test_an_exception_is_told_by_type_and_place_and_by_nothing_private(
    sent: Sent, fail: Callable[[], None], kind: str
) -> None:
    try:
        fail()
    except Exception:
        log.exception("request_failed", rows={EMAIL: SUB}, body=BODY, path="/api/")

    [event] = sent.events
    last = event["exception"]["values"][-1]
    assert (event["message"], last["type"]) == ("request_failed", kind)
    assert last["stacktrace"]["frames"], "where it was"
    assert event["tags"] == {"path": "/api/"}
    assert [word for word in PRIVATE if word in sent.text] == []
    traceback = json.loads(sent.logged)["exception"]
    assert kind in traceback
    assert [word for word in PRIVATE if word in traceback] == []


def test_a_chain_is_told_whole(sent: Sent) -> None:
    try:
        fail_by_chain()
    except RuntimeError:
        log.exception("ended")

    [event] = sent.events
    values = event["exception"]["values"]
    assert [value["type"] for value in values] == ["KeyError", "RuntimeError"]
    assert [value["stacktrace"]["frames"][-1]["function"] for value in values] == ["ask", "fail_by_chain"]


def test_a_text_of_ours_is_shown(sent: Sent) -> None:
    log.error("ended", exc_info=DatabaseUnavailable("the mail database refused the login"))

    [event] = sent.events
    assert event["exception"]["values"] == [
        {"type": "DatabaseUnavailable", "module": "controller.errors", "value": "the mail database refused the login"}
    ]


def test_each_place_is_told_once(sent: Sent) -> None:
    for fail in (fail_together, fail_together, fail_by_chain, fail_together, fail_by_chain):
        try:
            fail()
        except Exception:
            log.exception("request_failed")

    assert len(sent.events) == 2


def test_a_report_names_the_install_and_what_joins_it_to_the_log(sent: Sent) -> None:
    with bound_contextvars(epoch=7, turn="7.12", waves=["default/deploycenter#7.3"]):
        log.error("ended", exc_info=ValueError(SUB))

    [event] = sent.events
    assert (event["environment"], event["level"], event["server_name"]) == ("test", "error", "")
    assert event["release"].startswith("maildomain-controller@")
    assert event["tags"] == {"epoch": "7", "turn": "7.12", "waves": "['default/deploycenter#7.3']"}
    assert not event.keys() & {"user", "request", "contexts", "breadcrumbs", "extra", "modules", "threads"}


def test_what_is_no_error_is_nobodys_business(sent: Sent) -> None:
    log.warning("turn_failed", exc_info=ValueError(SUB))
    log.info("written")
    logging.getLogger("kopf").error("something about %s", EMAIL)

    assert sent.events == []


def test_an_exception_that_a_library_logs_is_told_without_its_words(sent: Sent) -> None:
    error = ValueError(SUB)
    logging.getLogger("uvicorn.error").error("for %s: %r\n%s", error, error, BODY, exc_info=error)

    [event] = sent.events
    assert (event["message"], event["exception"]["values"][0]["type"]) == ("uvicorn.error", "ValueError")
    text = sent.text + sent.logged
    assert [word for word in PRIVATE if word in text] == []
    assert "for ...: ..." in text


# --- failures that last -----------------------------------------------------------------------------------------------


def test_a_failure_that_lasts_is_told_once_until_it_is_over(sent: Sent) -> None:
    now = 0.0
    failures = LastingFailures(lambda: now)
    for seconds in (0.0, LASTING - 1, LASTING, LASTING + 1, 10 * LASTING):
        now = seconds
        failures.failed("EntitlementSource default/deploycenter", "Unreachable")
        failures.failed("turn", "DatabaseUnavailable") if seconds < LASTING else failures.worked("turn")

    [event] = sent.events
    assert event["message"] == "failure_lasts"
    assert event["tags"] == {"what": "EntitlementSource default/deploycenter", "error": "Unreachable"}
    failures.worked("EntitlementSource default/deploycenter")
    for seconds in (1000.0, 1000.0 + LASTING):
        now = seconds
        failures.failed("EntitlementSource default/deploycenter", "Unreachable")
    assert len(sent.events) == 2, "another failure"


# --- where they come from ---------------------------------------------------------------------------------------------


def test_the_operator_reports_what_ends_it(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Install) -> None:
        raise RuntimeError(EMAIL)

    monkeypatch.setattr(operator, "operate", broken)
    settings = {"owner": "test", "database_url": "sqlite:////nowhere", "pod_namespace": "x", "log_format": "json"}
    assert operator.run(Settings.model_validate(settings)) == 1
    assert [event["message"] for event in sent.events] == ["ended"]


def test_the_api_reports_what_ends_it(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError(EMAIL)

    monkeypatch.setattr(api, "operate", broken)
    assert api.run(Settings.model_validate({"log_format": "json"}), ApiSettings(), None) == 1
    assert [event["message"] for event in sent.events] == ["ended"]


async def test_the_api_reports_a_request_that_fails_once_however_often_it_comes(sent: Sent, tmp_path: Path) -> None:
    async def broken(_: object, document: Any) -> Any:
        raise KeyError(str(document))

    gate = Bearer(KeyRing(write_keys(tmp_path / "keys", a=KEY)))
    endpoint = Endpoint("/x/", gate, Rates(100, 100), broken, {"responses": {}})
    transport = httpx.ASGITransport(app=application([endpoint], Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.example", headers=BEARER) as client:
        statuses = [(await client.post("/x/", json={"sub": SUB, "email": EMAIL})).status_code for _ in range(3)]

    assert statuses == [500, 500, 500]
    [event] = sent.events
    assert event["tags"] == {"path": "/x/"}
    assert [word for word in (*PRIVATE, KEY) if word in sent.text] == []


def test_a_command_on_files_reports_what_ends_it(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError(EMAIL)

    monkeypatch.setattr(command_line, "program", lambda: broken)
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    with pytest.raises(SystemExit) as ended:
        command_line.main()

    assert ended.value.code == 1
    assert [event["message"] for event in sent.events] == ["ended"]


def test_a_service_that_can_not_be_reached_changes_nothing(unreachable: Sent) -> None:
    log.error("ended", exc_info=ValueError(SUB))
    log.info("going on")

    assert [json.loads(line)["message"] for line in unreachable.logged.splitlines()] == ["ended", "going on"]


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dsn", [None, ""])
def test_without_a_dsn_nothing_is_reported(monkeypatch: pytest.MonkeyPatch, dsn: str | None) -> None:
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    if dsn is not None:
        monkeypatch.setenv("SENTRY_DSN", dsn)
    transport = Sent()
    REPORTS.open(read_report_settings(), transport)
    record = {"event": "ended", "exc_info": ValueError(SUB)}

    assert REPORTS.heed(None, "error", record) is record
    assert transport.events == []


@pytest.mark.parametrize("dsn", ["s3cret-key", "https://errors.example/7", "https://s3cret-key@errors.example/"])
def test_what_is_no_dsn_ends_the_process_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], dsn: str
) -> None:
    monkeypatch.setenv("SENTRY_DSN", dsn)
    with pytest.raises(InvalidInput, match="SENTRY_DSN"):
        REPORTS.open(read_report_settings())

    assert command_line.execute(["validate", "-f", "."]) == 2
    assert SECRET not in capsys.readouterr().err


def test_nothing_of_the_process_is_changed_for_them() -> None:
    hooks = sys.excepthook, logging.Logger.callHandlers, httpx.Client.send
    transport = Sent()
    REPORTS.open(ReportSettings.model_validate({"sentry_dsn": DSN}), transport)
    client = REPORTS._client
    assert client is not None
    assert client.integrations == {}
    assert (sys.excepthook, logging.Logger.callHandlers, httpx.Client.send) == hooks
    REPORTS.close()
