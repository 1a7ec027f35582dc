"""The log of the process: stderr only, one line a record, nobody's e-mail in it."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from controller.cli import main
from controller.observability.logging import configure_logging
from controller.observability.privacy import mask_emails
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def test_every_record_is_one_json_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "INFO")
    structlog.get_logger("engine").info("pass finished", grants=2)
    logging.getLogger("kopf").warning("watch of %s closed", "maildomains")
    out, err = capsys.readouterr()
    assert out == ""
    first, second = (json.loads(line) for line in err.splitlines())
    assert (first["message"], first["grants"], first["level"]) == ("pass finished", 2, "info")
    assert (second["message"], second["logger"]) == ("watch of maildomains closed", "kopf")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_email_passes_the_last_net(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json" if log_format == "json" else "text", "DEBUG")
    log = structlog.get_logger("x")
    log.info("asked jeanne.martin@commune.example", who="jeanne.martin@commune.example")
    log.warning("GET https://dc.example/?account_email=jeanne.martin%40commune.example")
    try:
        raise ValueError("bad row: ('jeanne.martin@commune.example', 1)")  # noqa: TRY301  # its text is what is tested
    except ValueError:
        log.exception("failed", rows={"jeanne.martin@commune.example": [1]})
    logging.getLogger("other").error("%s", ["jeanne.martin@commune.example"])
    text = capsys.readouterr().err
    assert "jeanne" not in text
    assert "martin" not in text
    assert text.count("***@") >= 6


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "httpcore.connection"])
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.ERROR])
def test_the_http_client_is_never_heard(name: str, level: int, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "DEBUG")
    logging.getLogger(name).log(level, "HTTP Request: GET https://dc.example/?account_email=a%40b.example")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["kopf.objects", "kubernetes.client.rest", "sqlalchemy.engine.Engine", "psycopg"])
def test_bodies_and_parameters_are_not_logged_below_warning(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "DEBUG")
    logging.getLogger(name).debug("body: {'spec': ...}")
    logging.getLogger(name).info("[('a', 1)]")
    assert capsys.readouterr() == ("", "")


def test_an_error_of_ours_is_masked_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_arguments: object) -> int:
        raise KeyError("jeanne.martin@commune.example")

    monkeypatch.setattr(main, "execute", fail)
    with pytest.raises(SystemExit) as ended:
        main.main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (1, "")
    assert "KeyError" in err
    assert "jeanne" not in err


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a@b.fr", "***@b.fr"),
        ("to <a.b+c@b.fr>, x", "to <***@b.fr>, x"),
        ("email=a%40b.fr&siret=1", "email=***@b.fr&siret=1"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("nothing @ all, 12:30", "nothing @ all, 12:30"),
        ("Élodie@b.fr", "***@b.fr"),
    ],
)
def test_the_local_part_is_masked_and_the_host_stays(text: str, masked: str) -> None:
    assert mask_emails(text) == masked


@pytest.mark.parametrize("command", [("approve", "a/b"), ("run",)])
def test_a_kubeconfig_that_is_not_there_is_told_of_once(program: Run, command: tuple[str, ...]) -> None:
    settings = {"KUBECONFIG": "/nowhere", "MDC_DATABASE_URL": "sqlite:///mail.db", "MDC_OWNER": "x"}
    told = program(*command, env=settings | {"POD_NAMESPACE": "x"}).err
    assert told.count("\n") == told.count("leads to no API server") == 1
