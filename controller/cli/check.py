"""`check`: whether the mail database and the cluster can be worked with, and what is missing if not."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import SecretStr

from controller.cli.console import emit
from controller.cli.exits import Exit
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, PlainFormat, PlainOutput
from controller.cli.wire import Part, dump
from controller.cli.wording import counted
from controller.errors import ControllerError, InvalidInput, MigrationNeeded, SchemaUnknown
from controller.settings import read_settings

if TYPE_CHECKING:
    from controller.cluster.cluster import Cluster
    from controller.engine.listing import Listing
    from controller.maildb.database import MailDatabase

SHOWN = 10
"""Names that are listed of many."""

Question = Literal[
    "application tables",
    "read access",
    "own tables",
    "database grants",
    "owners",
    "cluster kinds",
    "cluster rights",
    "declared objects",
    "sources",
    "claims",
]


class Checked(Part):
    """One question, and what came out."""

    name: Question
    ok: bool
    found: tuple[str, ...] = ()
    """What is wrong, each with its remedy."""
    more: tuple[str, ...] = ()
    """What is wider than it needs to be, and what is worth knowing; nothing fails for it."""


class ShownCheck(Part):
    """The check on the wire."""

    api_version: Literal["maildomain.dev/v1alpha1"]
    kind: Literal["Check"]
    ok: bool
    checks: tuple[Checked, ...]


InCluster = Annotated[
    bool | None,
    typer.Option(
        "--cluster/--no-cluster",
        help="Look at the cluster too, with the settings of `run`; else where KUBECONFIG or a pod says which.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Privileges that are not needed are a failure too.")]


def check(
    *,
    database_url: DatabaseUrl = None,
    cluster: InCluster = None,
    strict: Strict = False,
    output: PlainFormat = PlainOutput.TEXT,
) -> None:
    """Look whether the database and, beside an install, the cluster let us work, and name what is missing or too wide.

    Writes nothing, and asks no source about anybody. Exit codes: 0 everything is as it should be, 7 something is not.
    """
    with open_database(database_url) as database:
        checks = tuple(_checks(database, strict=strict))
        if cluster or (cluster is None and _beside_a_cluster()):
            checks += asyncio.run(_check_cluster(database, database_url, strict=strict))
    ok = all(one.ok for one in checks)
    if output is PlainOutput.JSON:
        emit(dump(ShownCheck(api_version="maildomain.dev/v1alpha1", kind="Check", ok=ok, checks=checks)))
    else:
        emit("".join(f"{line}\n" for one in checks for line in _lines(one)))
    raise typer.Exit(Exit.DONE if ok else Exit.UNAVAILABLE)


def _beside_a_cluster() -> bool:
    return "KUBECONFIG" in os.environ or "KUBERNETES_SERVICE_HOST" in os.environ


# --- the database ---


def _checks(database: "MailDatabase", *, strict: bool) -> Iterator[Checked]:
    yield _checked("application tables", database.preflight)
    yield _checked("read access", lambda: database.snapshot((), ()))
    yield _checked("own tables", database.check_version)
    yield _grants(database, strict=strict)
    yield _owners(database)


def _checked(name: Question, ask: Callable[[], object]) -> Checked:
    try:
        ask()
    except InvalidInput:
        raise
    except SchemaUnknown as error:
        return Checked(name=name, ok=False, found=error.differences)
    except ControllerError as error:
        return Checked(name=name, ok=False, found=(str(error),))
    return Checked(name=name, ok=True)


def _grants(database: "MailDatabase", *, strict: bool) -> Checked:
    try:
        grants = database.grants()
    except ControllerError as error:
        return Checked(name="database grants", ok=False, found=(str(error),))
    return Checked(
        name="database grants",
        ok=not (grants.missing or (strict and grants.excess)),
        found=tuple(f"is missing: {one}; run docs/grants.sql" for one in grants.missing),
        more=tuple(f"is not needed: {one}" for one in grants.excess),
    )


def _owners(database: "MailDatabase") -> Checked:
    try:
        owners = database.owners()
    except MigrationNeeded:
        # Said by the tables.
        return Checked(name="owners", ok=True)
    except ControllerError as error:
        return Checked(name="owners", ok=False, found=(str(error),))
    others = tuple(
        f"{owner} works here too, with {counted(len(domains), 'domain')}"
        for owner, domains in owners.items()
        if owner != database.owner
    )
    unknown = () if database.owner in owners else (f"{database.owner} has never worked here",)
    return Checked(name="owners", ok=True, more=unknown + others)


# --- the cluster ---


async def _check_cluster(database: "MailDatabase", database_url: str | None, *, strict: bool) -> tuple[Checked, ...]:
    from controller.cluster.cluster import connected  # noqa: PLC0415  # slow, and bad input quick
    from controller.observability.metrics import Metrics  # noqa: PLC0415  # beside the cluster alone
    from controller.operator.install import read_install  # noqa: PLC0415  # beside the cluster alone

    settings = read_settings()
    if database_url is not None:
        settings = settings.model_copy(update={"database_url": SecretStr(database_url)})
    install = read_install(settings)
    async with connected(install.namespaces, install.source_namespaces, Metrics()) as cluster:
        checks = [await _kinds(cluster), await _rights(cluster, strict=strict)]
        return (*checks, *await _declared(cluster, database))


async def _kinds(cluster: "Cluster") -> Checked:
    try:
        unknown = await cluster.unknown_fields()
    except ControllerError as error:
        return Checked(name="cluster kinds", ok=False, found=(str(error),))
    found = tuple(f"is not known to the API server: {one}; apply crds/" for one in _few(unknown))
    return Checked(name="cluster kinds", ok=not unknown, found=found)


async def _rights(cluster: "Cluster", *, strict: bool) -> Checked:
    try:
        missing, excess = await cluster.missing_rights(), await cluster.excessive_rights()
    except ControllerError as error:
        return Checked(name="cluster rights", ok=False, found=(str(error),))
    return Checked(
        name="cluster rights",
        ok=not (missing or (strict and excess)),
        found=tuple(f"is missing: {one}; apply the RBAC of manifests/" for one in missing),
        more=tuple(f"is not needed: {one}" for one in _few(excess)),
    )


async def _declared(cluster: "Cluster", database: "MailDatabase") -> tuple[Checked, ...]:
    from controller.engine.listing import read_listing  # noqa: PLC0415  # slow, and bad input quick
    from controller.engine.reachability import unreachable  # noqa: PLC0415  # slow, and bad input quick

    try:
        listing, _ = await read_listing(cluster, {})
        silent = await unreachable(cluster, listing.sources.values())
    except ControllerError as error:
        return (Checked(name="declared objects", ok=False, found=(str(error),)),)
    invalid = [f"{one.kind.singular} {one.key} can't be used: `validate` says why" for one in listing.invalid]
    return (
        Checked(name="declared objects", ok=not invalid, found=_few(invalid)),
        Checked(
            name="sources",
            ok=not silent,
            found=tuple(f"EntitlementSource {key}: {why}" for key, why in sorted(silent.items())),
        ),
        _claims(listing, database),
    )


def _claims(listing: "Listing", database: "MailDatabase") -> Checked:
    try:
        owners = database.owners()
    except ControllerError as error:
        return Checked(name="claims", ok=False, found=(str(error),))
    claimed = {domain: owner for owner, domains in owners.items() for domain in domains if owner != database.owner}
    foreign = [
        f"MailDomain {item.key} is of a domain of {claimed[item.domain]}: `migrate --take-over {item.domain}`"
        for item in listing.domains
        if item.domain in claimed
    ]
    return Checked(name="claims", ok=not foreign, found=_few(foreign))


def _few(found: Sequence[object]) -> tuple[str, ...]:
    rest = (f"... and {len(found) - SHOWN} more",) if len(found) > SHOWN else ()
    return (*map(str, found[:SHOWN]), *rest)


def _lines(checked: Checked) -> Iterator[str]:
    yield f"{'ok    ' if checked.ok else 'FAILED'} {checked.name}"
    for found in (*checked.found, *checked.more):
        yield f"       {found}"
