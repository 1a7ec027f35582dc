"""`review`: may this person open this service? One question, answered by the rules that rows are made by."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from controller.cli.console import emit, warn
from controller.cli.exits import Exit
from controller.cli.inputs import read_declarations
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, Files, PlainFormat, PlainOutput, SecretsDir
from controller.cli.secrets import FileSecrets
from controller.cli.wire import Part

if TYPE_CHECKING:
    from controller.permissions.resolver import Verdict

AskedDomain = Annotated[str | None, typer.Option("--domain", metavar="DOMAIN", help="The mail domain.")]
AskedUser = Annotated[str | None, typer.Option("--user", metavar="EMAIL", help="Who wants to open something.")]
AskedSubject = Annotated[str | None, typer.Option("--acting-as", metavar="EMAIL", help="Whom they act as.")]
AskedService = Annotated[
    str | None, typer.Option("--service", metavar="NAME", help="One CatalogService; without it all of the domain.")
]


def review(
    *,
    file: Files,
    domain: AskedDomain = None,
    user: AskedUser = None,
    acting_as: AskedSubject = None,
    service: AskedService = None,
    secrets_dir: SecretsDir = None,
    database_url: DatabaseUrl = None,
    output: PlainFormat = PlainOutput.TEXT,
) -> None:
    """Say which services somebody may open in a domain, or whether one, and why.

    Needs SELECT on the application's tables only, unless somebody acts as another: that is noted in the journal.
    Exit codes: 0 allowed, 3 denied, 6 an invalid document or question, 7 it can't be known now.
    """
    declared = read_declarations(file)
    from controller.engine.review import review_once  # noqa: PLC0415  # slow, and bad files are quick
    from controller.permissions.resolver import EVERY, Question  # noqa: PLC0415

    secrets = FileSecrets(declared.secrets, Path(secrets_dir) if secrets_dir is not None else None)
    question = Question(domain, user, acting_as, EVERY if service is None else service)
    with open_database(database_url) as database:
        reviewed = asyncio.run(review_once(database, declared, question, secrets=secrets))
    for message in secrets.missing:
        warn(message)
    verdict = reviewed.verdict
    if verdict.subject is not None and not reviewed.journaled:
        warn("not noted in the journal: the controller's own tables are not there; run migrate")
    emit(to_json(verdict) if output is PlainOutput.JSON else "".join(f"{line}\n" for line in to_lines(verdict)))
    raise typer.Exit(_code(verdict, one=service is not None))


def _code(verdict: "Verdict", *, one: bool) -> Exit:
    """About one service its own answer counts, about all of them the gate's."""
    if not verdict.known:
        return Exit.UNAVAILABLE
    opened = verdict.services[0].allowed if one else verdict.gate == "Allowed"
    return Exit.DONE if opened else Exit.DENIED


class ShownDecision(Part):
    """One service."""

    name: str = Field(description="of the CatalogService")
    allowed: bool | None = Field(description="null: not known, whoever was told something before keeps it")
    reason: str


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


Advisory = Field(
    default=None,
    description="there where the domain is only audited: a no keeps nobody out",
    json_schema_extra=_without_default,
)


class ReviewDocument(Part):
    """The answer to one question."""

    gate: Literal["Allowed", "Forbidden"] = Field(description="whether the one who asks gets in at all")
    reason: str
    services: tuple[ShownDecision, ...] = Field(description="by name; those of the one who is acted as, if any")
    advisory: Annotated[Literal[True] | SkipJsonSchema[None], Advisory] = None


def to_json(verdict: "Verdict") -> str:
    """Print an answer. It holds no e-mail."""
    services = tuple(
        ShownDecision(name=each.service, allowed=each.allowed, reason=each.reason.value) for each in verdict.services
    )
    document = ReviewDocument(gate=verdict.gate.value, reason=verdict.reason.value, services=services)
    if verdict.advisory:
        document = document.model_copy(update={"advisory": True})
    # What is not known is written as null, and what was never set is left out.
    return document.model_dump_json(by_alias=True, exclude_unset=True, indent=2) + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema of the document, as it stands in `docs/schema/review.json`."""
    made = ReviewDocument.model_json_schema(mode="serialization", by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | made


def to_lines(verdict: "Verdict") -> Iterator[str]:
    """Tell an answer, one service a line."""
    yield f"{verdict.gate}  {verdict.reason}: {verdict.reason.text}"
    words = {True: "yes", False: "no", None: "unknown"}
    for each in verdict.services:
        yield f"  {words[each.allowed]:<8} {each.service}  {each.reason}: {each.reason.text}"
    if verdict.advisory:
        yield "  the domain is only audited: a no keeps nobody out"
