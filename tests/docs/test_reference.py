"""Do the tables of the documentation say what the code says? Fields, reasons, settings, commands, exit codes."""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest
from typer.core import TyperOption

from controller.cli.exits import Exit
from controller.cli.main import program
from controller.resources.conditions import ConditionType, Reason
from controller.resources.model import APPROVE_ANNOTATION, PROVISIONED_ANNOTATION, REQUESTED_AT_ANNOTATIONS
from controller.settings import ApiSettings, ReportSettings, Settings
from tests.docs.pages import ROOT, page, plain
from tests.docs.reference import as_markdown, columns, rows
from tests.support.crd import KINDS

DOCS = ROOT / "docs"
READY_KINDS = ("EntitlementSource", "MailDomain")
COMMANDS = program().commands


def table(name: str, heading: str) -> list[list[str]]:
    found = page(DOCS / name).table(heading)
    assert found, f"docs/{name} has no table under {heading}"
    return found


# --- api.md -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_each_field_stands_in_the_reference_as_the_crd_declares_it(kind: str, part: str) -> None:
    shown = [[cell.replace("\\|", "|") for cell in row] for row in table("api.md", f"{kind} {part}")]
    declared = [[cell.replace("\\|", "|") for cell in row] for row in rows(kind, part)]
    assert shown == declared, f"put this into docs/api.md:\n{as_markdown(rows(kind, part))}"


@pytest.mark.parametrize("kind", KINDS)
def test_each_printer_column_stands_in_the_reference(kind: str) -> None:
    assert table("api.md", f"{kind} columns") == columns(kind)


def test_each_annotation_stands_in_the_reference() -> None:
    shown = {plain(row[0]) for row in table("api.md", "Annotations")}
    assert shown == {APPROVE_ANNOTATION, PROVISIONED_ANNOTATION, *REQUESTED_AT_ANNOTATIONS}


# --- conditions.md ----------------------------------------------------------------------------------------------------


def reasons_in_use() -> set[Reason]:
    """Those that the code gives to a condition somewhere, beside the enum itself."""
    enum = ROOT / "controller" / "resources" / "conditions.py"
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "controller").rglob("*.py") if path != enum)
    used = set(re.findall(r"\bReason\.([A-Z_]+)\b", code))
    return {reason for reason in Reason if reason.name in used}


def test_each_reason_stands_in_the_reference_with_its_text() -> None:
    shown = {plain(row[0]): row[2] for row in table("conditions.md", "Reasons")}
    assert shown == {reason.value: reason.text for reason in reasons_in_use()}


def test_each_reason_names_conditions_that_exist_and_a_remedy() -> None:
    for reason, on, _, remedy in table("conditions.md", "Reasons"):
        assert set(on.split(", ")) <= {str(kind) for kind in ConditionType}, reason
        assert remedy, reason


@pytest.mark.parametrize("kind", READY_KINDS)
def test_the_tables_of_ready_use_reasons_that_exist(kind: str) -> None:
    article = "an" if kind[0] in "AEIOU" else "a"
    cells = (cell for row in table("conditions.md", f"Ready of {article} {kind}") for cell in row[1:])
    named = {code for cell in cells for code in re.findall(r"`(\w+)`", cell)} - {"staleAfter"}
    assert named <= {reason.value for reason in reasons_in_use()}


# --- settings.md ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "settings"),
    [("Settings", Settings), ("Settings of the API", ApiSettings), ("Error reports", ReportSettings)],
)
def test_each_setting_stands_in_the_reference_with_its_default(
    heading: str, settings: type[Settings | ApiSettings | ReportSettings]
) -> None:
    shown = {plain(row[0]): plain(row[1]) for row in table("settings.md", heading)}
    declared = {
        str(field.validation_alias or f"MDC_{name.upper()}"): str(field.default or "")
        for name, field in settings.model_fields.items()
    }
    assert shown == {name: "" if default == "()" else default for name, default in declared.items()}


# --- cli.md -----------------------------------------------------------------------------------------------------------


def test_each_command_stands_in_the_reference() -> None:
    assert {plain(row[0]) for row in table("cli.md", "Commands")} == set(COMMANDS)


def shown_options() -> Iterator[tuple[str, str, frozenset[str], str]]:
    """Command, default, names, choices, for each option of each command."""
    for option, commands, default, _ in table("cli.md", "Options"):
        words = plain(option).replace(",", " ").split()
        names = frozenset(word for word in words if word.startswith("-"))
        choices = next((word for word in words if "|" in word), "")
        for command in plain(commands).split():
            yield command, plain(default), names, choices


def declared_options() -> Iterator[tuple[str, str, frozenset[str], str]]:
    for name, command in COMMANDS.items():
        for option in command.params:
            if isinstance(option, TyperOption) and option.name != "help":
                default = "required" if option.required else str(option.default or "")
                yield (
                    name,
                    default,
                    frozenset((*option.opts, *option.secondary_opts)),
                    "|".join(choices(option.type_descriptor.annotation)),
                )


def choices(annotation: object) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [choice.value for choice in annotation]
    return []


def test_each_option_stands_in_the_reference_with_its_default_and_its_choices() -> None:
    assert set(shown_options()) == set(declared_options())


@pytest.mark.parametrize(("path", "heading"), [(DOCS / "cli.md", "Exit codes")])
def test_each_exit_code_stands_in_the_reference(path: Path, heading: str) -> None:
    assert {int(row[0]) for row in page(path).table(heading)} == {int(code) for code in Exit}


def test_the_readme_names_the_exit_codes_that_a_pipeline_meets() -> None:
    shown = {int(row[0]) for row in page(ROOT / "README.md").table("Files in a pipeline")}
    assert shown == {int(code) for code in Exit} - {Exit.INTERRUPTED}
