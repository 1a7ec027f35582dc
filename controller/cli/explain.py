"""`explain`: every fact behind one access, in the order of decision."""

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from controller.cli import exits
from controller.cli.console import emit
from controller.cli.options import DatabaseUrl, Files, PlainFormat, PlainOutput, SecretsDir, ShowPii, read_user
from controller.cli.options import read_domain as domain_of
from controller.cli.reconcile import reconcile
from controller.cli.wire import Part, dump
from controller.cli.wording import Command
from controller.errors import InvalidInput, Problem
from controller.planning.explain import Explanation, Said
from controller.planning.explain import explain as explain_access
from controller.planning.facts import Snapshot, UserId
from controller.resources.names import DomainName, Email, ResourceKey

UserArgument = Annotated[str, typer.Argument(metavar="USER", parser=read_user, help="An e-mail, or the id of a user.")]
DomainArgument = Annotated[DomainName, typer.Argument(metavar="DOMAIN", parser=domain_of)]


def explain(
    user: UserArgument,
    domain: DomainArgument,
    *,
    file: Files,
    secrets_dir: SecretsDir = None,
    database_url: DatabaseUrl = None,
    output: PlainFormat = PlainOutput.TEXT,
    show_pii: ShowPii = False,
) -> None:
    """Say why somebody administers a domain or does not: what is declared, what is there, what each source says.

    Nobody else is asked about, nothing is judged and nothing written: what no source names any more is a suspect.
    Exit codes: 0, 6 invalid input, 7 a source or the database is unavailable.
    """
    command = Command(tuple(file), secrets_dir)
    outcome = reconcile(command, database_url, only=user, write=False)
    email = _email(user, outcome.question.snapshot)
    explanation = explain_access(outcome.question, outcome.plan, email, domain)
    if output is PlainOutput.JSON:
        emit(to_json(explanation, email if show_pii else None))
    else:
        emit("\n".join(to_lines(explanation, email.reveal() if show_pii else str(email))) + "\n")
    raise typer.Exit(exits.Exit.UNAVAILABLE if exits.sources_failed(outcome) else exits.Exit.DONE)


def _email(user: str, snapshot: Snapshot) -> Email:
    """The e-mail that is meant: itself, or that of a user who is given by id as a plan shows it."""
    if "@" in user:
        return Email(user)
    row = snapshot.users.get(UserId(user))
    if row is None or row.email is None:
        found = "is no user" if row is None else "is a user without an e-mail: nobody can be asked about them"
        raise InvalidInput(Problem("command line", "USER", found, "name a user of the mail database"))
    return row.email


# --- for machines -----------------------------------------------------------------------------------------------------


class ShownAnswer(Part):
    """What one source said about the user."""

    namespace: str
    name: str
    answer: str
    reason: str | None
    names_domain: bool
    fresh: bool
    age_seconds: float | None
    can_access: bool | None
    siret: str | None


class ShownExplanation(Part):
    """An explanation on the wire. What is unknown or not there is null."""

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: Literal["Explanation"]
    domain: str
    email: str | None
    resource: str | None
    mode: str | None
    refusal: str | None
    users: tuple[str, ...]
    active: bool
    ambiguous: bool
    access: str | None
    role: Literal["Admin", "Other"] | None
    owned: str | None
    protected: bool
    denied: bool
    sources: tuple[ShownAnswer, ...]
    case: str | None
    hold: str | None
    decision: str
    because: str


def to_json(explanation: Explanation, email: Email | None) -> str:
    """Print an explanation; the e-mail only when it is given."""
    access = explanation.access
    shown = ShownExplanation(
        api_version="maildomain.dev/v1alpha1",
        kind="Explanation",
        domain=explanation.domain,
        email=email.reveal() if email is not None else None,
        resource=str(explanation.declared) if explanation.declared else None,
        mode=explanation.mode.value if explanation.mode else None,
        refusal=explanation.refusal.value if explanation.refusal else None,
        users=explanation.users,
        active=explanation.active,
        ambiguous=explanation.ambiguous,
        access=access.id if access else None,
        role=("Admin" if access.admin else "Other") if access else None,
        owned=explanation.owned.value if explanation.owned else None,
        protected=explanation.protected,
        denied=explanation.denied,
        sources=tuple(_answer(said.source, said) for said in explanation.said),
        case=explanation.case.state.value if explanation.case else None,
        hold=explanation.hold.id if explanation.hold else None,
        decision=explanation.decision,
        because=explanation.because,
    )
    return dump(shown)


def _answer(key: ResourceKey, said: Said) -> ShownAnswer:
    return ShownAnswer(
        namespace=key.namespace,
        name=key.name,
        answer=said.answer,
        reason=said.reason,
        names_domain=said.names_domain,
        fresh=said.fresh,
        age_seconds=said.age,
        can_access=said.can_access,
        siret=said.siret,
    )


# --- for people -------------------------------------------------------------------------------------------------------


def to_lines(explanation: Explanation, who: str) -> Iterator[str]:
    """Tell an explanation, one fact a line."""
    yield f"{who} on {explanation.domain}"
    yield f"  declared   {_declared(explanation)}"
    yield f"  user       {_user(explanation)}"
    yield f"  row        {_row(explanation)}"
    if explanation.protected or explanation.denied:
        yield f"  listed     in {'protectedAdmins' if explanation.protected else 'deniedAdmins'}"
    for said in explanation.said:
        yield f"  source     {_said(said, explanation.domain)}"
    if explanation.case is not None:
        yield f"  case       {explanation.case.state.value} since {explanation.case.opened_at:%Y-%m-%d %H:%M:%S} UTC"
    if explanation.hold is not None:
        hold = explanation.hold
        yield f"  hold       {hold.id} by {hold.scope}, limit {hold.limit}"
    yield f"  decision   {explanation.decision}: {explanation.because}"


def _declared(explanation: Explanation) -> str:
    if explanation.declared is None:
        return "by no MailDomain"
    refusal = f", but {explanation.refusal.value}: {explanation.refusal.text}" if explanation.refusal else ""
    return f"by MailDomain {explanation.declared}, mode {explanation.mode}{refusal}"


def _user(explanation: Explanation) -> str:
    if not explanation.users:
        return "nobody has this e-mail"
    state = "ambiguous" if explanation.ambiguous else "active" if explanation.active else "inactive"
    return f"{', '.join(explanation.users)} ({state})"


def _row(explanation: Explanation) -> str:
    access = explanation.access
    if access is None:
        return "none"
    owner = f"ours ({explanation.owned.value})" if explanation.owned else "not ours"
    return f"{access.id}, {'ADMIN' if access.admin else 'another role'}, {owner}"


def _said(said: Said, domain: DomainName) -> str:
    if said.age is None:
        return f"{said.source}: not asked"
    reason = f" ({said.reason})" if said.reason else ""
    names = "names" if said.names_domain else "does not name"
    state = "fresh" if said.fresh else "does not count: stale, suspended or about another e-mail"
    siret = f", opened by siret {said.siret}" if said.siret else ""
    return f"{said.source}: {said.answer}{reason}, {names} {domain}, {state}{siret}"
