"""What does the sandbox's DeployCenter say now? A file that people may edit while it is served."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from controller.errors import InvalidInput, Problem
from controller.sandbox.deploycenter import Account, Behaviour, Organization, World
from controller.sandbox.towns import PIVOT_SIRET, Commune, Person, Role

SERVICE_ID = 42
API_KEY = "sandbox-key"

Odd = Literal["down", "server_error", "unauthenticated", "empty", "key_absent"]


@dataclass(slots=True)
class Scene:
    """The whole file."""

    port: int
    behaviour: Odd | None
    """What the service does instead of answering well; null = it answers well."""
    world: World

    @property
    def odd(self) -> Behaviour | None:
        """The same for the double."""
        return Behaviour[self.behaviour.upper()] if self.behaviour is not None else None

    def account(self, email: str) -> Account:
        """The account of a person; the world has it."""
        return next(account for account in self.world.accounts if account.email == email)


_SCENE = TypeAdapter(Scene)


def opening_scene(communes: Iterable[Commune], port: int) -> Scene:
    """Every commune with a subscription, and the syndicate whose siret opens the answers."""
    towns = tuple(communes)
    syndicate = Organization(PIVOT_SIRET, "Syndicat numérique de l'Orge", kind="syndicate")
    organizations = [syndicate, *(_organization(town) for town in towns)]
    accounts = [_account(person, town) for town in towns for person in town.people]
    return Scene(port, None, World(organizations, accounts, SERVICE_ID, API_KEY))


def write_scene(path: Path, scene: Scene) -> None:
    """Write the file."""
    path.write_bytes(_SCENE.dump_json(scene, indent=2) + b"\n")


def read_scene(path: Path) -> Scene:
    """Read the file. Raises `InvalidInput` when it is none, or was edited into something else."""
    try:
        return _SCENE.validate_json(path.read_bytes())
    except OSError:
        raise InvalidInput(Problem(str(path), "", "can't be read", "name the folder of a sandbox")) from None
    except ValidationError as error:
        raise InvalidInput(
            *(
                Problem(str(path), ".".join(map(str, detail["loc"])), detail["type"], "undo the last edit")
                for detail in error.errors(include_input=False, include_url=False)
            )
        ) from None


def _organization(commune: Commune) -> Organization:
    return Organization(commune.siret, f"Commune de {commune.name}", {"domains": [commune.known_as]})


def _account(person: Person, commune: Commune) -> Account:
    match person.role:
        case Role.MAYOR:
            return Account(person.email, commune.siret, ("admin",))
        case Role.SECRETARY:
            return Account(person.email, commune.siret, ("member",), {"admin": {}})
        case Role.TECHNICIAN:
            return Account(person.email, commune.siret, ("member",), {"admin": {"domains": [commune.known_as]}})
        case Role.AGENT:
            return Account(person.email, commune.siret, ("member",))
