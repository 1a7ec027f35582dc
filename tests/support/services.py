"""What decides on services, over a real database: declared as in `permissions`, people and ADMIN rows in the tables."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from controller.engine.services import ServiceOutcome, ServiceQuestion, carry_out, plan_services
from controller.maildb.database import MailDatabase
from controller.planning.changes import Changes
from controller.planning.facts import DomainId, UserId
from controller.planning.guard import Approvals
from controller.resources.charter import Charter
from controller.resources.maildomain import MailDomain
from controller.resources.names import ResourceKey
from tests.support.database import MailWorld
from tests.support.permissions import COMMUNE, SERVICES, service

KEY = ResourceKey("org", "commune")


@dataclass
class Household:
    """One commune in a mail database, and what is declared about it."""

    database: MailDatabase
    world: MailWorld
    row: DomainId
    people: Mapping[str, UserId]
    """By the part of the e-mail before the @."""

    def decide(
        self,
        *declared: Any,
        subscribed: Mapping[str, bool] | None = None,
        undecided: Collection[ResourceKey] = (),
        approve: str | None = None,
    ) -> ServiceOutcome:
        """One pass, as a command does it. Services that nobody declares are active."""
        named = {item.id for item in declared if item.kind == "CatalogService"}
        charter = Charter.of([*declared, *(service(name) for name in SERVICES if name not in named)])
        with self.database.seized():
            question = ServiceQuestion(
                domains=[item for item in declared if isinstance(item, MailDomain)],
                charter=charter,
                subscribed={(KEY, name): state for name, state in (subscribed or {}).items()},
                facts=self.database.service_facts(),
                undecided=undecided,
                approvals=Approvals(by_command=frozenset({approve} if approve else ())),
            )
            return carry_out(self.database, plan_services(question))

    def opens(self, name: str) -> dict[str, str]:
        """What readers see: the services that somebody may open, each with its reason."""
        return {service: row["reason"] for service, row in self.rows(name).items() if row["allowed"]}

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """All that readers see about somebody, by service."""
        found = self.world.execute(
            f"SELECT * FROM {self.place}effective_services WHERE user_id = :user", user=self.stored(self.people[name])
        )
        return {row["service_id"]: row for row in found}

    def acting(self) -> set[tuple[str, str]]:
        """Who may act as whom."""
        rows = self.world.execute(f"SELECT actor_id, subject_id FROM {self.place}impersonation")
        names = {self.stored(key): name for name, key in self.people.items()}
        return {(names[str(row["actor_id"])], names[str(row["subject_id"])]) for row in rows}

    def updated(self) -> set[str]:
        """Every moment at which a row was written."""
        return {
            str(row["at"]) for row in self.world.execute(f"SELECT updated_at AS at FROM {self.place}service_access")
        }

    @property
    def place(self) -> str:
        """Where our tables are."""
        return "maildomain_controller." if self.world.dialect == "postgresql" else "mdc_"

    def stored(self, key: str) -> str:
        """An id as the dialect keeps it."""
        return key if self.world.dialect == "postgresql" else key.replace("-", "")


def household(database: MailDatabase, world: MailWorld, *names: str) -> Household:
    """The commune with these people, claimed by this owner."""
    row = world.domain(COMMUNE)
    people = {name: world.user(f"{name}@{COMMUNE}") for name in names}
    with database.seized() as epoch:
        database.write(Changes(claims=((COMMUNE, KEY),)), epoch=epoch)
    return Household(database, world, row, people)
