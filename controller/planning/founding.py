"""What is the mail application to be asked about a domain? To create it, or to change what of it is ours.

Only for `ensure: Created`, under the rules for rows: who may not act, is suspended or only observes asks for nothing.
What stands in the database is compared first: in sync nothing is asked. Fields that are not declared are not ours.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.planning.facts import MailDomainRow
from controller.planning.plan import DomainPlan
from controller.resources.conditions import Reason
from controller.resources.maildomain import Ensure, Mode, Provisioning
from controller.resources.names import DomainName

_ACTING = frozenset({Mode.GRANT_ONLY, Mode.ENFORCE})


@dataclass(frozen=True, slots=True)
class Order:
    """One request about one domain. What is None is left out, which only a creation may do.

    The mail application sets every field of an existing domain, those that it was not told to their defaults (A-74).
    """

    domain: DomainName
    creates: bool
    oidc_autojoin: bool | None
    identity_sync: bool | None
    custom_attributes: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Founding:
    """How one domain with `ensure: Created` stands."""

    order: Order | None = None
    """What is to be asked; None when nothing is."""
    suppressed: bool = False
    """Whether the mode or `suspend` leaves the order unasked."""
    conflict: bool = False
    """Whether the database holds other values for attributes that are declared, and they are left."""

    @property
    def due(self) -> Order | None:
        """The order that is to be carried out."""
        return None if self.suppressed else self.order


def founding(item: DomainPlan) -> Founding | None:
    """Compare one domain with what is declared; None where nothing is to be created or the resource may not act."""
    declared, located = item.standing.resource.spec.provisioning, item.difference.located
    if declared.ensure is not Ensure.CREATED or not item.standing.admitted:
        return None
    suppressed = item.suspended is not None or item.mode not in _ACTING
    domain = item.standing.resource.domain
    if located.row is not None:
        order, conflict = _update(domain, declared, located.row)
        return Founding(order, suppressed, conflict)
    if located.missing is not Reason.DOMAIN_MISSING:
        return None
    attributes = dict(declared.custom_attributes) if declared.custom_attributes is not None else None
    order = Order(
        domain,
        creates=True,
        oidc_autojoin=declared.oidc_autojoin,
        identity_sync=declared.identity_sync,
        custom_attributes=attributes,
    )
    return Founding(order, suppressed)


def _update(domain: DomainName, declared: Provisioning, row: MailDomainRow) -> tuple[Order | None, bool]:
    """The order that brings a row in step, with every field as it is to stand, and whether attributes conflict."""
    stored = _object(row.attributes)
    if stored is None:
        return None, declared.custom_attributes is not None
    wanted = dict(declared.custom_attributes or {})
    other = {name for name, value in wanted.items() if name in stored and not _same(stored[name], value)}
    if not declared.overwrite:
        wanted = {name: value for name, value in wanted.items() if name not in other}
    attributes = {**stored, **wanted}
    autojoin = row.oidc_autojoin if declared.oidc_autojoin is None else declared.oidc_autojoin
    sync = row.identity_sync if declared.identity_sync is None else declared.identity_sync
    conflict = bool(other) and not declared.overwrite
    changes = any(name not in stored or not _same(stored[name], value) for name, value in wanted.items())
    if not changes and (autojoin, sync) == (row.oidc_autojoin, row.identity_sync):
        return None, conflict
    return Order(
        domain, creates=False, oidc_autojoin=autojoin, identity_sync=sync, custom_attributes=attributes
    ), conflict


def _object(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _same(stored: object, wanted: object) -> bool:
    """Python takes true for 1."""
    return type(stored) is type(wanted) and stored == wanted
