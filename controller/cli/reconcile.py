"""`plan` and `apply`: what would change, and one pass without a cluster."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from controller.cli import exits
from controller.cli.console import emit, emit_printed, sweeping, warn
from controller.cli.document import to_json
from controller.cli.inputs import read_declarations
from controller.cli.markdown import to_markdown
from controller.cli.opening import open_database
from controller.cli.options import (
    Approve,
    AsIf,
    ConfirmAfter,
    DatabaseUrl,
    Files,
    Format,
    HoldersOnly,
    Output,
    SecretsDir,
    ShowPii,
)
from controller.cli.report import report
from controller.cli.secrets import FileSecrets
from controller.cli.supposition import Supposition, WhatIf, supposing
from controller.cli.tables import print_plan
from controller.cli.wording import Command
from controller.planning.features import Features
from controller.resources.conditions import Reason
from controller.resources.maildomain import Mode
from controller.settings import read_settings

if TYPE_CHECKING:
    from controller.engine.once import Outcome
    from controller.maildb.database import MailDatabase


def plan(
    *,
    file: Files,
    secrets_dir: SecretsDir = None,
    database_url: DatabaseUrl = None,
    output: Format = Output.TEXT,
    approve: Approve = None,
    as_if: AsIf = None,
    holders_only: HoldersOnly = False,
    what_if: WhatIf = None,
    show_pii: ShowPii = False,
) -> None:
    """Show what `apply` would change, and write nothing.

    Needs SELECT on the application's tables only. Suspects are not asked again: the plan shows what that would allow.
    Exit codes: 0 nothing, 3 grants only, 4 revocations, 5 something held, 6 invalid input, 7 a source or the database
    is unavailable.
    """
    command = Command(tuple(file), secrets_dir, supposing(what_if, as_if))
    outcome = reconcile(
        command,
        database_url,
        approve=approve or (),
        as_if=as_if,
        holders_only=holders_only,
        what_if=what_if,
        write=False,
    )
    _show(outcome, output, command, show_pii=show_pii)
    if not outcome.question.snapshot.migrated:
        warn("planned with an empty ledger: the controller's own tables are not there; run migrate before apply")
    raise typer.Exit(exits.of_plan(outcome))


def apply(
    *,
    file: Files,
    secrets_dir: SecretsDir = None,
    database_url: DatabaseUrl = None,
    output: Format = Output.TEXT,
    approve: Approve = None,
    confirm_after: ConfirmAfter = None,
    show_pii: ShowPii = False,
) -> None:
    """Ask everybody once, suspects once more, and carry out what the modes and limits allow.

    Exit codes: 0 all that the modes allow is done, 5 something is held, 6 invalid input (nothing is written), 7 a
    source or the database is unavailable (what could be done was done).
    """
    command = Command(tuple(file), secrets_dir)
    outcome = reconcile(command, database_url, approve=approve or (), confirm_after=confirm_after, write=True)
    _show(outcome, output, command, show_pii=show_pii)
    raise typer.Exit(exits.of_result(outcome))


def reconcile(
    command: Command,
    database_url: str | None,
    *,
    approve: Collection[str] = (),
    as_if: Mode | None = None,
    confirm_after: timedelta | None = None,
    holders_only: bool = False,
    only: str | None = None,
    what_if: Supposition | None = None,
    write: bool,
) -> "Outcome":
    """Read the files, run one pass, and say on stderr what people should know about it."""
    declared = read_declarations(command.files)
    if what_if is not None:
        declared = what_if.applied(declared)
    from controller.engine.once import Options, Progress, apply_once, plan_once  # noqa: PLC0415  # slow, and bad files are quick
    from controller.messages.opening import opened, read_endpoint  # noqa: PLC0415  # as below

    settings = read_settings()
    features = Features(settings.feature_maildomain_create, settings.feature_maildomain_manage_accesses)
    said = what_if.said if what_if is not None else None
    hypothetical = as_if is not None or what_if is not None
    options = Options(frozenset(approve), as_if, confirm_after, holders_only, features, only, said, hypothetical)
    secrets = FileSecrets(declared.secrets, Path(command.secrets_dir) if command.secrets_dir is not None else None)
    endpoint = read_endpoint(settings)

    async def run(database: "MailDatabase", progress: Progress | None) -> "Outcome":
        if not write:
            return await plan_once(database, declared, options, secrets=secrets, progress=progress)
        async with opened(endpoint) as founder:
            return await apply_once(database, declared, options, secrets=secrets, progress=progress, founder=founder)

    with open_database(database_url) as database, sweeping() as progress:
        outcome = asyncio.run(run(database, progress))
    for message in secrets.missing:
        warn(message)
    _warn(outcome, approve)
    return outcome


def _warn(outcome: "Outcome", approve: Collection[str]) -> None:
    _warn_of_sources(outcome)
    _warn_of_domains(outcome)
    _warn_of_approvals(outcome, approve)


def _warn_of_sources(outcome: "Outcome") -> None:
    for source in outcome.sources:
        if source.health.trouble is not None:
            warn(f"EntitlementSource {source.key}: {source.health.trouble.value}: {source.health.trouble.text}")
        if source.health.canary_wrong:
            warn(f"EntitlementSource {source.key}: {Reason.CANARY_WRONG.value}: {Reason.CANARY_WRONG.text}")
    for account in outcome.services.accounts if outcome.services is not None else ():
        if account.trouble is not None:
            warn(f"EntitlementSource {account.key}: {account.trouble.value}: {account.trouble.text}")


def _warn_of_domains(outcome: "Outcome") -> None:
    for domain in outcome.plan.domains:
        refusal = domain.standing.refusal
        if refusal is not None:
            warn(f"MailDomain {domain.standing.resource.key}: {refusal.value}: {refusal.text}")
        if domain.contested:
            warn(f"MailDomain {domain.standing.resource.key}: {Reason.CONTESTED.value}: {Reason.CONTESTED.text}")
    for key, reason in sorted(outcome.troubles.items()):
        warn(f"MailDomain {key}: {reason.value}: {reason.text}")


def _warn_of_approvals(outcome: "Outcome", approve: Collection[str]) -> None:
    used = outcome.services.used if outcome.services is not None else ()
    snapshot = outcome.question.snapshot
    recorded = (hold for hold in snapshot.holds if hold.expires_at > snapshot.taken_at)
    decided = (hold for hold in outcome.plan.changes.holds if hold.expires_at > snapshot.taken_at)
    known = {hold.id for hold in (*recorded, *outcome.holds, *decided, *used)}
    for unknown in sorted(set(approve) - known):
        warn(f"--approve {unknown}: no such hold now; it may have expired, been used, or have changed")


def _show(outcome: "Outcome", output: Output, command: Command, *, show_pii: bool) -> None:
    document = report(outcome, show_pii=show_pii)
    match output:
        case Output.JSON:
            emit(to_json(document))
        case Output.MARKDOWN:
            emit(to_markdown(document, command))
        case Output.TEXT:
            emit_printed(lambda console: print_plan(document, command, console))
