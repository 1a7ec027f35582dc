"""`export`: manifests for what a mail database holds, of which the first plan is empty."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any

import typer
import yaml
from pydantic import TypeAdapter, ValidationError

from controller.cli.console import emit, tell, warn
from controller.cli.manifests import Namespace, SourceName, declared
from controller.cli.opening import open_database
from controller.cli.options import DatabaseUrl, ShowPii
from controller.cli.wording import counted
from controller.errors import InvalidInput, Problem
from controller.planning.facts import User, UserId
from controller.resources.names import DomainName, Email

Administrators = Mapping[DomainName, tuple[UserId, ...]]

_EMAIL: TypeAdapter[Email] = TypeAdapter(Email)

MOST_GRANTS = 10_000
"""Grants of one static source."""
MOST_DOMAINS = 256
"""Domains of one grant."""

Static = Annotated[
    bool,
    typer.Option("--static", help="Make it a static source with the present administrators; needs --show-pii."),
]

_LOCAL_HINT = """\
# The source knows nothing yet, so nothing changes. To ask DeployCenter, put this in place of `local: {}`:
#   deployCenter:
#     url: https://deploycenter.example/api/v1.0/entitlements/
#     serviceId: 42
#     apiKeySecretRef: {name: deploycenter, key: api-key}
#     organization: {pivotSirets: ["00000000000000"]}
"""


def export(
    *,
    source: SourceName = "deploycenter",
    namespace: Namespace = None,
    static: Static = False,
    show_pii: ShowPii = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Write a MailDomain for each domain that has administrators, and the source that they name.

    The first plan on them is empty for two reasons, each of which is enough: mode Observe carries nothing out, and the
    source is `local`, which knows nothing, so that whoever is there stays. Give it a provider, look at the plan, then
    change modes. With --static the source names exactly the present administrators: the plan stays empty in Enforce.
    """
    if static and not show_pii:
        raise typer.BadParameter("a static source holds e-mails: give --show-pii as well", param_hint="--static")
    with open_database(database_url) as database:
        administrators = {domain: users for domain, users in database.export_facts().items() if users}
        people = database.snapshot((), ()).users if static else {}
    provider = _static(administrators, people) if static else None
    objects = [_source(source, namespace, provider), *(_domain(name, source, namespace) for name in administrators)]
    emit(("" if provider else _LOCAL_HINT) + yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True))
    tell(f"{counted(len(administrators), 'MailDomain')} that name EntitlementSource {source}")


def _domain(name: DomainName, source: str, namespace: str | None) -> dict[str, Any]:
    spec = {"domain": name, "mode": "Observe", "sourceRefs": [{"name": source}]}
    return declared("MailDomain", name, namespace, spec)


def _source(name: str, namespace: str | None, provider: dict[str, Any] | None) -> dict[str, Any]:
    return declared("EntitlementSource", name, namespace, {"provider": provider or {"local": {}}})


def _static(administrators: Administrators, people: Mapping[UserId, User]) -> dict[str, Any]:
    """Grants that say what stands.

    Only active administrators are named: a source is never asked about the others, and naming one of them would make
    an active user of the same e-mail an administrator too.
    """
    domains: dict[str, list[DomainName]] = defaultdict(list)
    unusable = 0
    for domain, users in administrators.items():
        for user in users:
            row = people.get(user)
            if row is None or not row.active or row.email is None:
                continue
            if _is_usable(row.email):
                domains[row.email.reveal()].append(domain)
            else:
                unusable += 1
    if unusable:
        warn(f"{counted(unusable, 'administrator')} left out: the e-mail is none that a manifest can hold")
    grants = [
        {"email": email, "domains": names[start : start + MOST_DOMAINS]}
        for email, names in sorted(domains.items())
        for start in range(0, len(names), MOST_DOMAINS)
    ]
    if not 1 <= len(grants) <= MOST_GRANTS:
        found = f"would need {counted(len(grants), 'grant')}, and a static source has 1 to {MOST_GRANTS}"
        raise InvalidInput(Problem("command line", "--static", found, "export without it"))
    return {"static": {"grants": grants}}


def _is_usable(email: Email) -> bool:
    try:
        _EMAIL.validate_python(email.reveal())
    except ValidationError:
        return False
    return True
