"""What a user can cause: a clear message, the right exit code, nothing on stdout, and never a traceback."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from controller.sandbox.deploycenter import Behaviour
from tests.cli.conftest import Ran, Run, Town, clean_environment, command

DOMAIN = """\
apiVersion: maildomain.dev/v1alpha1
kind: MailDomain
metadata: {name: x}
spec: {domain: x.example, mode: Observe, sourceRefs: [{name: s}]}
"""


def refused(ran: Ran, code: int, *said: str) -> None:
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    for text in said:
        assert text in ran.err


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(DOMAIN)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01" * 100)
    (tmp_path / "broken.yaml").write_text("a: [1, 2\nb: {")
    (tmp_path / "typo.yaml").write_text(DOMAIN.replace("mode", "modus"))
    (tmp_path / "two.yaml").write_text(DOMAIN + "---\n" + DOMAIN.replace("x.example", "X.example"))
    return tmp_path


@pytest.mark.parametrize("verb", ["validate", "plan", "apply"])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing.yaml", "missing.yaml: does not exist"),
        ("empty", "empty: holds no file"),
        ("other", "declares no MailDomain"),
        ("binary.yaml", "binary.yaml: is no UTF-8 text"),
        ("broken.yaml", "broken.yaml"),
        ("typo.yaml", "spec.modus: is not a known field"),
        ("two.yaml", "two.yaml, document 2"),
        ("/dev/null", "declares no MailDomain"),
        ("x" * 5000, "can't be read"),
    ],
    ids=lambda value: value[:12],
)
def test_bad_files_are_refused_with_place_and_remedy(verb: str, path: str, said: str, files: Path, run: Run) -> None:
    refused(run(verb, "-f", path), 6, said)


def test_all_problems_of_all_files_come_at_once(files: Path, run: Run) -> None:
    ran = run("validate", "-f", "good.yaml", "-f", "missing.yaml", "-f", "typo.yaml", "-f", "binary.yaml")
    refused(ran, 6, "missing.yaml", "spec.modus", "spec.mode", "binary.yaml")
    assert all(line.startswith("error: ") for line in ran.err.splitlines())


@pytest.mark.parametrize("verb", ["validate", "plan", "apply"])
def test_one_bad_file_beside_good_ones_refuses_the_run(verb: str, files: Path, run: Run) -> None:
    refused(run(verb, "-f", "good.yaml", "-f", "missing.yaml"), 6, "missing.yaml: does not exist")


def test_an_unreadable_file_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", _denied)  # root, as in containers, may read any file
    refused(run("validate", "-f", "good.yaml"), 6, "good.yaml: is not readable")


def _denied(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_whole_folder_is_read_and_hidden_files_are_not(files: Path, run: Run) -> None:
    folder = files / "tree"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "a" / "b" / "x.yml").write_text(DOMAIN)
    (folder / ".git" / "x.yaml").write_text("{")
    (folder / "README.md").write_text("no manifest")
    ran = run("validate", "-f", "tree")
    assert (ran.code, ran.out) == (0, "")
    assert "valid: 1 MailDomain, 0 EntitlementSources" in ran.err
    assert "EntitlementSource default/s is not among these files" in ran.err


def test_the_same_file_twice_is_read_once(files: Path, run: Run) -> None:
    assert run("validate", "-f", "good.yaml", "-f", "good.yaml").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("frobnicate",),
        ("plan",),
        ("plan", "-f"),
        ("plan", "-f", "good.yaml", "-o", "xml"),
        ("plan", "-f", "good.yaml", "--as-if", "Withdraw"),
        ("plan", "-f", "good.yaml", "--no-such-option"),
        ("apply", "-f", "good.yaml", "--confirm-after", "1 hour"),
        ("apply", "-f", "good.yaml", "--confirm-after", "-1s"),
        ("explain", "ann@x.example", "-f", "good.yaml"),
        ("explain", "ann@x.example", "not a domain", "-f", "good.yaml"),
        ("journal", "--since", "yesterday"),
        ("journal", "--limit", "0"),
        ("migrate", "--take-over", "a b"),
        ("sandbox", "--folder", "."),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_exit_2(arguments: tuple[str, ...], files: Path, run: Run) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, (2, "names no mail database")),
        ("", (2, "names no mail database")),
        ("mysql://me:secret@localhost/db", (2, "another kind of database")),
        ("not a url", (2, "is no database URL")),
        ("sqlite://", (2, "without a path")),
        ("sqlite:///missing.sqlite3", (7, "the mail database")),
        ("sqlite:///good.yaml", (7, "")),
        ("sqlite:///.", (7, "the mail database")),
        ("postgresql://me:secret@127.0.0.1:1/db?connect_timeout=2", (7, "does not answer")),
        ("postgresql://me:secret@[::1/db", (2, "is no database URL")),
        ("postgresql://me:secret@127.0.0.1:x/db", (2, "is no database URL")),
    ],
)
@pytest.mark.parametrize("verb", [("plan", "-f", "good.yaml"), ("status",)], ids=lambda verb: verb[0])
def test_a_database_that_is_not_to_be_had(
    verb: tuple[str, ...], url: str | None, expected: tuple[int, str], files: Path, run: Run
) -> None:
    ran = run(*verb, *(("--database-url", url) if url is not None else ()))
    refused(ran, *expected)
    assert "secret" not in ran.err
    assert not (files / "missing.sqlite3").exists()


def test_the_url_may_stand_in_a_file(files: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDC_DATABASE_URL_FILE", "url")
    refused(run("status"), 2, "MDC_DATABASE_URL_FILE")
    (files / "url").write_text("sqlite:///missing.sqlite3\n")
    refused(run("status"), 7, "the mail database")


def test_a_bad_setting_is_named_without_its_value(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDC_OWNER", "Not An Owner")
    ran = run("status", "--database-url", "sqlite:///x")
    refused(ran, 2, "MDC_OWNER")
    assert "Not An" not in ran.err


def test_run_needs_its_settings(program: Run) -> None:
    refused(program("run"), 2, "MDC_OWNER")


# --- processes --------------------------------------------------------------------------------------------------------


def test_stdin_is_a_path(program: Run) -> None:
    ran = program("validate", "-f", "-", stdin=DOMAIN)
    assert (ran.code, ran.out) == (0, "")
    refused(program("validate", "-f", "-", stdin="{"), 6, "-, document 1")


def test_plan_never_imports_the_operator(program: Run, town: Town) -> None:
    town.domain("x.example")
    source = "import sys\nfrom controller.cli.main import execute\nassert execute(sys.argv[1:]) == 0\n"
    source += "assert not {'kopf', 'kubernetes'} & sys.modules.keys()\n"
    script = town.folder.parent / "planning.py"
    script.write_text(source)
    arguments = [*command()[:1], str(script), "plan", "-f", "manifests"]
    env = clean_environment() | {"MDC_DATABASE_URL": town.mail.url}
    subprocess.run(arguments, cwd=script.parent, env=env, check=True, timeout=50, capture_output=True)


def test_a_reader_who_leaves_early_changes_nothing(town: Town) -> None:
    town.domain("x.example")
    town.person("ann@x.example", "x.example")
    with _start(town, "plan", "-f", "manifests", "-o", "json") as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == ""
        assert started.wait(50) == 3


def test_progress_is_for_terminals_and_stdout_stays_pure(town: Town) -> None:
    town.domain("x.example")
    town.person("ann@x.example", "x.example")
    reading, writing = pty.openpty()
    try:
        done = subprocess.run(
            command("plan", "-f", "manifests", "-o", "json"),
            cwd=town.folder.parent,
            env=clean_environment() | {"MDC_DATABASE_URL": town.mail.url, "TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=writing,
            check=False,
            timeout=50,
        )
        assert "asking" in os.read(reading, 100_000).decode()
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 3
    assert json.loads(done.stdout)["kind"] == "Plan"


def test_ctrl_c_ends_quietly(town: Town) -> None:
    town.domain("x.example")
    town.person("ann@x.example", "x.example")
    town.double.behaviour = Behaviour.SLOW
    with _start(town, "plan", "-f", "manifests") as started:
        deadline = time.monotonic() + 40
        while not town.double.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=50)
    assert (started.returncode, out) == (130, "")
    assert "Traceback" not in err


def _start(town: Town, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*arguments),
        cwd=town.folder.parent,
        env=clean_environment() | {"MDC_DATABASE_URL": town.mail.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
