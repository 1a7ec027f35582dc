"""Which options do the commands share? Their names, help texts, and how their values are read."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer
from pydantic_core import PydanticCustomError

from controller.resources.maildomain import Mode
from controller.resources.names import DomainName, canonical_domain
from controller.resources.quantities import parse_duration


class Output(StrEnum):
    """How a plan is told."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


class PlainOutput(StrEnum):
    """How anything else is told."""

    TEXT = "text"
    JSON = "json"


def read_duration(text: str) -> timedelta:
    """Read `1h30m`. Raises a usage error."""
    try:
        duration: timedelta = parse_duration(text)
    except PydanticCustomError as error:
        raise typer.BadParameter(error.message()) from None
    return duration


def read_domain(text: str) -> DomainName:
    """Read a domain name in any spelling. Raises a usage error."""
    name = canonical_domain(text)
    if name is None:
        raise typer.BadParameter("write a domain name")
    return name


def read_user(text: str) -> str:
    """Read an e-mail, or the id of a user as the database has it. Raises a usage error."""
    if "@" in text:
        return text
    try:
        return str(UUID(text))
    except ValueError:
        raise typer.BadParameter("write an e-mail, or the id of a user") from None


Files = Annotated[
    list[str],
    typer.Option("--file", "-f", metavar="PATH", help="A file, a folder (with all below it), or - ; repeatable."),
]
SecretsDir = Annotated[
    str | None,
    typer.Option("--secrets-dir", metavar="DIR", help="Secrets as DIR/NAMESPACE/NAME/KEY; before Secret documents."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        envvar="MDC_DATABASE_URL",
        help="postgresql://... or sqlite:///PATH. Else MDC_DATABASE_URL_FILE, a file that holds it.",
    ),
]
Format = Annotated[Output, typer.Option("--output", "-o", help="How the plan is told.")]
PlainFormat = Annotated[PlainOutput, typer.Option("--output", "-o", help="How it is told.")]
ShowPii = Annotated[bool, typer.Option("--show-pii", help="Show e-mails; without it none appears anywhere.")]
Approve = Annotated[
    list[str] | None,
    typer.Option("--approve", metavar="ID", help="A hold that may be carried out; repeatable."),
]
AsIf = Annotated[Mode | None, typer.Option("--as-if", help="Plan as if every domain had this mode.")]
HoldersOnly = Annotated[
    bool, typer.Option("--holders-only", help="Ask only about those who hold something: no grants to others.")
]
ConfirmAfter = Annotated[
    timedelta | None,
    typer.Option(
        "--confirm-after",
        metavar="DURATION",
        parser=read_duration,
        help="Ask suspects again after this, instead of confirmRevocations.after; 0s asks nobody again.",
    ),
]
Since = Annotated[
    timedelta | None,
    typer.Option("--since", metavar="DURATION", parser=read_duration, help="Only what was done since then: 2h."),
]
Hold = Annotated[
    str | None,
    typer.Option("--hold", metavar="ID", help="Only what the approval of this hold let through."),
]
Domain = Annotated[DomainName | None, typer.Option("--domain", metavar="DOMAIN", parser=read_domain)]
