"""Who lives in the sandbox? Communes and people that do not exist, and everything that makes real data difficult."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

PIVOT_SIRET = "21990000000012"
"""The syndicate's own organization: its subscription opens every answer."""


class Role(StrEnum):
    """What DeployCenter knows about a person."""

    MAYOR = "mayor"
    """Administrator of the organization."""
    SECRETARY = "secretary"
    """Administrator of the service, for all domains."""
    TECHNICIAN = "technician"
    """Administrator of the service, for one domain."""
    AGENT = "agent"
    """Nothing."""

    @property
    def administers(self) -> bool:
        """Whether DeployCenter names the commune's domain for this person."""
        return self is not Role.AGENT


@dataclass(frozen=True, slots=True)
class Person:
    """One user of the mail application."""

    name: str
    email: str
    role: Role
    active: bool = True
    signed_in: bool = True
    """Whether there is a `sub`: without one the person has never signed in."""
    by_hand: bool = False
    """Whether somebody made them an administrator by hand, long ago."""
    twin: bool = False
    """Whether a second active user has the same e-mail, with a capital."""


@dataclass(frozen=True, slots=True)
class Commune:
    """One commune with its mail domain."""

    name: str
    domain: str
    """As the mail application stores it."""
    siret: str
    mode: str | None
    """Of its MailDomain; None = nobody declares it."""
    people: tuple[Person, ...]
    known_as: str
    """As DeployCenter stores it: its operators type what they like."""
    there: bool = True
    """Whether the mail application has the domain."""

    def person(self, role: Role) -> Person:
        """The first person with this role."""
        return next(person for person in self.people if person.role is role)


_PLACES = (
    # name, domain, mode, as DeployCenter has it when that differs
    ("Valbrume", "valbrume.example", "Enforce", ""),
    ("Saint-Aubert-des-Prés", "saint-aubert.example", "Enforce", ""),
    ("Montclair-sur-Orge", "montclair-sur-orge.example", "Enforce", ""),
    ("Beaumarais", "beaumarais.example", "Enforce", ""),
    ("Les Essarts-le-Vieux", "les-essarts.example", "Enforce", ""),
    ("Pontgrave", "pontgrave.example", "Enforce", "Pontgrave.EXAMPLE "),
    ("Roquesèche", "xn--roquesche-53a.example", "Enforce", "roquesèche.example"),
    ("Villeneuve-la-Lande", "villeneuve-la-lande.example", "GrantOnly", ""),
    ("Fontfroide-en-Bois", "fontfroide.example", "GrantOnly", ""),
    ("La Chapelle-aux-Pins", "la-chapelle-aux-pins.example", "Observe", ""),
    ("Marsillac-les-Bains", "marsillac.example", "Enforce", ""),
    ("Ancien-Bourg", "ancien-bourg.example", None, ""),
)
_MISSING = "marsillac.example"

_FIRST_NAMES = ("Amélie", "Bastien", "Camille", "Denis", "Elsa", "Farid", "Gaëlle", "Hugo", "Inès", "Jules", "Khadija")
_LAST_NAMES = ("Fontaine", "Lemoine", "Perrot", "Garnier", "Marchal", "Delmas", "Roussel")
_ROLES = (Role.MAYOR, Role.SECRETARY, Role.TECHNICIAN, Role.AGENT, Role.AGENT)

_PLAIN = str.maketrans("éèëê", "eeee")


def communes() -> tuple[Commune, ...]:
    """The whole world, always the same."""
    return tuple(_commune(number, *place) for number, place in enumerate(_PLACES))


def _commune(number: int, name: str, domain: str, mode: str | None, known_as: str) -> Commune:
    return Commune(
        name=name,
        domain=domain,
        siret=f"2199{number + 1:06d}0012",
        mode=mode,
        people=tuple(_people(number, domain)),
        known_as=known_as or domain,
        there=domain != _MISSING,
    )


def _people(number: int, domain: str) -> Iterator[Person]:
    for position, role in enumerate(_ROLES):
        place = number * len(_ROLES) + position
        first = _FIRST_NAMES[place % len(_FIRST_NAMES)]
        last = _LAST_NAMES[place % len(_LAST_NAMES)]
        last_agent = position == len(_ROLES) - 1
        yield Person(
            name=f"{first} {last}",
            email=f"{_spelled(first)}.{_spelled(last)}@{domain}",
            role=role,
            active=not (domain == "beaumarais.example" and role in (Role.SECRETARY, Role.TECHNICIAN)),
            signed_in=not (domain == "les-essarts.example" and role is Role.MAYOR),
            by_hand=(domain, role) in _BY_HAND and (role is not Role.AGENT or last_agent),
            twin=(domain, role) == ("montclair-sur-orge.example", Role.SECRETARY),
        )


_BY_HAND = (
    ("valbrume.example", Role.AGENT),  # nobody's entitlement: stays, because it is not ours
    ("saint-aubert.example", Role.MAYOR),  # what we would have granted: becomes ours
    ("beaumarais.example", Role.SECRETARY),  # of an inactive user: stays
    ("la-chapelle-aux-pins.example", Role.AGENT),  # on a domain that is only observed
    ("ancien-bourg.example", Role.AGENT),  # on a domain that nobody declares
)


def _spelled(name: str) -> str:
    return name.lower().translate(_PLAIN)
