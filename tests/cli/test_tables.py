"""A plan for people: only what matters, how to approve what is held, colours on a terminal only."""

import io
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from controller.cli.document import PlanDocument
from controller.cli.markdown import to_markdown
from controller.cli.report import report
from controller.cli.tables import CHANGES_SHOWN, print_plan
from controller.cli.wording import Command
from tests.support.planning import PlanningWorld
from tests.support.plans import planned

COMMAND = Command(("my manifests/", "-"), "secrets")


def document(world: PlanningWorld) -> PlanDocument:
    return report(planned(world, confirm_after=timedelta(0)))


def text(world: PlanningWorld, *, terminal: bool = False) -> str:
    file = io.StringIO()
    print_plan(
        document(world), COMMAND, Console(file=file, width=120, soft_wrap=True, force_terminal=terminal, _environ={})
    )
    return file.getvalue()


def quiet(number: int = 3) -> PlanningWorld:
    world = PlanningWorld()
    for place in range(number):
        world.domain(f"quiet{place}.fr")
        world.user(f"q{place}@x.fr")
        world.admin(f"q{place}", f"quiet{place}.fr")
        world.says(f"q{place}", f"quiet{place}.fr")
    return world


def test_in_sync_is_one_line_and_its_source() -> None:
    lines = text(quiet()).splitlines()
    assert lines == ["source default/deploycenter: 3 asked, 3 requests: 3 entitled", "3 domains: nothing to do"]


def test_only_domains_with_something_to_say_have_a_line() -> None:
    world = quiet()
    world.domain("new.fr")
    world.user("ann@new.fr")
    world.says("ann", "new.fr")
    shown = text(world)
    assert "quiet" not in shown
    assert "+ new.fr  ann  Entitled" in shown
    assert shown.splitlines()[0].split() == ["DOMAIN", "MODE", "READY", "GRANT"]
    assert shown.splitlines()[-1] == "4 domains: 1 to grant"


def test_a_hold_comes_with_the_command_that_approves_it() -> None:
    world = quiet()
    world.domain("x.fr", limits={"minAdmins": 1})
    world.user("eve@x.fr")
    world.admin("eve", "x.fr")
    world.says("eve")
    [hold] = document(world).holds
    approve = f"maildomain-controller apply -f 'my manifests/' -f - --secrets-dir secrets --approve {hold.id}"
    assert f"to approve exactly these: {approve}" in text(world)
    assert f"- 1 held by MailDomain default/x-fr (minAdmins 1). To approve: `{approve}`" in to_markdown(
        document(world), COMMAND
    )


def test_many_changes_are_cut_with_a_word_about_it() -> None:
    world = PlanningWorld()
    for number in range(CHANGES_SHOWN + 5):
        world.domain(f"d{number}.fr")
        world.user(f"u{number}@x.fr")
        world.says(f"u{number}", f"d{number}.fr")
    shown = text(world)
    assert sum(line.startswith("+") for line in shown.splitlines()) == CHANGES_SHOWN
    assert "... and 5 more; -o json has them all" in shown


@pytest.mark.parametrize("terminal", [True, False])
def test_colours_are_for_terminals(terminal: bool) -> None:
    assert ("\x1b[" in text(quiet(), terminal=terminal)) is terminal


def test_markdown_of_nothing_is_its_heading() -> None:
    assert to_markdown(document(quiet()), COMMAND).splitlines()[0] == "### Mail domains: 3 domains: nothing to do"
    assert "|" not in to_markdown(document(quiet()), COMMAND)


@pytest.mark.parametrize("spec", [{"mode": "Observe"}, {"suspend": True}, {"mode": "GrantOnly"}])
def test_what_is_left_as_it_is_is_not_nothing(spec: dict[str, Any]) -> None:
    world = quiet()
    world.domain("left.fr", **spec)
    world.admin(world.user("gone@x.fr"), "left.fr")
    world.says("gone")
    assert text(world).splitlines()[-1] == "4 domains: 1 left"
    assert to_markdown(document(world), COMMAND).splitlines()[0] == "### Mail domains: 4 domains: 1 left"
