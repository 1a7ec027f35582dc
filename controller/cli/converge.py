"""`import-restrictions` and `converge`: into the deprecated restrictions, and out of them again."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
import yaml
from pydantic import ValidationError

from controller.cli.console import emit, tell
from controller.cli.inputs import read_declarations
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, Files, PlainFormat, PlainOutput, ShowPii
from controller.cli.wire import Part, dump
from controller.cli.wording import counted
from controller.errors import InvalidInput, Problem
from controller.permissions.importing import Manifest, OldRestrictions
from controller.permissions.importing import import_restrictions as manifests_of
from controller.permissions.realm import convene
from controller.permissions.restrictions import RestrictionReport, report_restrictions
from controller.resources.documents import Declarations
from controller.resources.maildomain import MailDomain
from controller.resources.serviceaccess import LegacyGroupRestrictions

if TYPE_CHECKING:
    from controller.permissions.census import Census

Export = Annotated[Path, typer.Argument(metavar="EXPORT", help="The old restrictions, as JSON.")]


def import_restrictions(export: Export, *, file: Files, show_pii: ShowPii = False) -> None:
    """Write manifests for restrictions that another application kept, and turn the deprecated switch on for them.

    Only what differs from the files is written: on files that hold the result it writes nothing. A restriction that
    does not restrict is left behind. The members of groups are e-mails: --show-pii. Exit codes: 0, 6 invalid input.
    """
    declared = read_declarations(file)
    old = _read(export)
    made = manifests_of(old, declared.domains, declared.charter)
    if not show_pii and any(map(_names_people, made)):
        raise typer.BadParameter("the manifests hold e-mails: give --show-pii as well", param_hint="--show-pii")
    if made:
        emit(yaml.safe_dump_all(made, sort_keys=False, allow_unicode=True))
    left = sum(not record.restrict for record in old.restrictions)
    tell(f"{counted(len(made), 'manifest')}; {counted(left, 'restriction')} left behind, which do not restrict")


def _read(path: Path) -> OldRestrictions:
    try:
        return OldRestrictions.model_validate_json(path.read_bytes(), by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        places = sorted({".".join(map(str, each["loc"])) for each in details})
    # Raised here: the validation error would come along as the context and hold the values.
    raise InvalidInput(
        *(Problem(str(path), place, "can't be used", "write it as docs/service-access.md shows") for place in places)
    )


def _names_people(manifest: Manifest) -> bool:
    spec = manifest["spec"]
    return any(spec.get(name) for name in ("members", "protectedAdmins", "deniedAdmins"))


# --- the way out ------------------------------------------------------------------------------------------------------


def converge(
    *,
    file: Files,
    database_url: DatabaseUrl = None,
    output: PlainFormat = PlainOutput.TEXT,
    show_pii: ShowPii = False,
) -> None:
    """Say what ServiceGroupRestrictions still do: which may be deleted, and who would gain by switching them off.

    It also names who could open a service without a row of its own only because the last row was applied to it, which
    is so no more. Nobody is asked: a subscription that is not known counts as active. Exit codes: 0, 6 invalid input,
    7 the database is unavailable.
    """
    declared = read_declarations(file)
    with open_database(database_url) as database:
        census = database.population().census
    reports = list(_reports(declared, census))
    document = _document(reports, census if show_pii else None)
    if output is PlainOutput.JSON:
        emit(dump(document, nulls=False))
    else:
        emit("".join(f"{line}\n" for line in to_lines(document)))


def _reports(declared: Declarations, census: "Census") -> Iterator[tuple[MailDomain, RestrictionReport]]:
    """A report on each domain that has restrictions, applied or not: as if the switch were on."""
    about = {restriction.domain_key for restriction in declared.charter.restrictions}
    named = {domain.domain: domain for domain in declared.domains if domain.key in about}
    court = convene(map(_enabled, named.values()), declared.charter, {})
    for name, realm in sorted(court.realms.items()):
        yield named[name], report_restrictions(realm, census)


def _enabled(domain: MailDomain) -> MailDomain:
    access = domain.spec.service_access
    if access is None:
        return domain
    on = access.model_copy(update={"legacy_group_restrictions": LegacyGroupRestrictions.ENABLED})
    return domain.model_copy(update={"spec": domain.spec.model_copy(update={"service_access": on})})


class ShownRestriction(Part):
    """One restriction."""

    name: str
    denied: int
    """Members whom it alone keeps from a service."""
    idle: bool
    """Whether it keeps nobody from anything: safe to delete."""


class ShownLeak(Part):
    """Somebody whom the last row let in by mistake."""

    user: str
    services: tuple[str, ...]
    email: str | None = None


class ShownDomain(Part):
    """The restrictions of one domain."""

    namespace: str
    name: str
    domain: str
    enabled: bool
    """Whether they are applied."""
    would_gain: int
    """Members who would open more with the switch off."""
    restrictions: tuple[ShownRestriction, ...]
    last_row_leak: tuple[ShownLeak, ...]


class Convergence(Part):
    """What is left of the deprecated restrictions."""

    api_version: Literal["maildomain.dev/v1alpha1"] = "maildomain.dev/v1alpha1"
    kind: Literal["Convergence"] = "Convergence"
    domains: tuple[ShownDomain, ...]


def _document(reports: Sequence[tuple[MailDomain, RestrictionReport]], people: "Census | None") -> Convergence:
    return Convergence(domains=tuple(_domain(domain, report, people) for domain, report in reports))


def _domain(domain: MailDomain, report: RestrictionReport, people: "Census | None") -> ShownDomain:
    access = domain.spec.service_access
    return ShownDomain(
        namespace=domain.metadata.namespace,
        name=domain.metadata.name,
        domain=domain.domain,
        enabled=access is not None and access.legacy_group_restrictions is LegacyGroupRestrictions.ENABLED,
        would_gain=len(report.switched_off.gains),
        restrictions=tuple(
            ShownRestriction(name=key.name, denied=len(denied), idle=key in report.idle)
            for key, denied in sorted(report.denied.items())
        ),
        last_row_leak=tuple(
            ShownLeak(user=user, services=tuple(sorted(services)), email=_email(user, people))
            for user, services in sorted(report.leaked.items())
        ),
    )


def _email(user: str, people: "Census | None") -> str | None:
    email = people.people[user].email if people is not None else None
    return email.reveal() if email is not None else None


def to_lines(document: Convergence) -> Iterator[str]:
    """Tell the report, one fact a line."""
    if not document.domains:
        yield "no ServiceGroupRestriction is left"
    for domain in document.domains:
        state = "applied" if domain.enabled else "not applied"
        yield f"{domain.domain} (MailDomain {domain.namespace}/{domain.name}): restrictions are {state}"
        for each in domain.restrictions:
            effect = "safe to delete" if each.idle else f"keeps out {counted(each.denied, 'member')}"
            yield f"  ServiceGroupRestriction {each.name}: {effect}"
        yield f"  without them {counted(domain.would_gain, 'member')} would gain a service"
        for leak in domain.last_row_leak:
            yield f"  let in only by the last row until now: {leak.email or leak.user} to {', '.join(leak.services)}"
