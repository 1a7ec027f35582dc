"""The sandbox: its story comes true, leaves a folder to play with, and is stopped where it does not come true."""

import json
import logging
import os
import re
import subprocess
from pathlib import Path

import pytest

import controller.sandbox.story as stories
from controller.cli.wording import PROGRAM
from controller.sandbox.deploycenter import World
from tests.cli.conftest import Run, clean_environment, command
from tests.support.database import MailWorld
from tests.support.privacy import revealed


def test_the_story_comes_true_and_can_be_gone_on_with(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ran = run("sandbox", "--folder", "world", "--non-interactive")
    assert ran.code == 0, ran.out[-2000:] + ran.err
    people = MailWorld(f"sqlite:///{tmp_path}/world/mail.sqlite3").execute("SELECT email, sub FROM messages_user")
    subs = [person["sub"] for person in people if person["sub"]]
    assert subs
    assert revealed(caplog.text, World([], []).api_key, *subs) == []
    assert [word for word in (World([], []).api_key, *subs) if word in ran.out + ran.err] == []
    assert "The story came true" in ran.out
    named = [line for line in ran.out.splitlines() if re.search(r"[a-z]@", line)]
    assert [line.split()[2] for line in named] == ["explain"], "an e-mail is shown only where it was asked about"
    assert "MDC_DATABASE_URL" not in os.environ
    assert Path.cwd() == tmp_path
    assert re.search(rf"\$ {PROGRAM} apply -f manifests --approve [0-9a-f]+", ran.out)
    world = tmp_path / "world"
    assert {path.name for path in world.iterdir()} == {"mail.sqlite3", "manifests", "deploycenter.json"}

    served = subprocess.Popen(
        command("sandbox", "--serve", "world"), cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        assert served.stderr is not None
        assert "DeployCenter answers at" in served.stderr.readline()
        planning = ("plan", "-f", "world/manifests", "--database-url", "sqlite:///world/mail.sqlite3")
        assert run(*planning).code == 0
        scene = json.loads((world / "deploycenter.json").read_text())
        (world / "deploycenter.json").write_text(json.dumps(scene | {"behaviour": "empty"}))
        assert "says what" in served.stderr.readline()
        assert run(*planning).code == 5
        (world / "deploycenter.json").write_text("{")
        assert "goes on as it was" in served.stderr.readline()
    finally:
        served.terminate()
        served.communicate(timeout=20)


def test_what_the_story_says_to_go_on_with_runs_as_it_is_pasted(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stories.Story, "tell", lambda _: None)
    monkeypatch.setenv("PATH", os.defpath)
    ran = run("sandbox", "--folder", "world")
    assert ran.code == 0, ran.err
    setting_up = [line for line in ran.out.splitlines() if line.startswith(("  cd ", "  export "))]
    pasted = "\n".join([*setting_up, f"{PROGRAM} migrate", f"{PROGRAM} status"])
    subprocess.run(["sh", "-euc", pasted], cwd=tmp_path, env={"PATH": os.defpath}, check=True, timeout=50)


def test_a_promise_that_is_not_kept_ends_the_story(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stories, "seats", lambda _: frozenset())
    ran = run("sandbox", "--folder", "world")
    assert ran.code == 1
    assert "error: not so: exactly the entitled people" in ran.err
    assert "came true" not in ran.out


def test_a_folder_that_holds_something_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    ran = run("sandbox", "--folder", "mine")
    assert (ran.code, ran.out) == (2, "")
    assert "is not empty" in ran.err
    assert run("sandbox", "--serve", "mine").code == 6
