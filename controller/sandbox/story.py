"""Does it do what it promises? A story in chapters, told by the commands that users run; each chapter is checked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rich.console import Console

from controller.sandbox.application import Seat, rows, seats
from controller.sandbox.deploycenter import Double
from controller.sandbox.folder import MANIFESTS, Folder
from controller.sandbox.scene import Scene, read_scene, write_scene
from controller.sandbox.towns import Commune, Role

FILES = ("-f", MANIFESTS)


class StoryUntrue(Exception):  # noqa: N818  # named after what it says, as the error tree is
    """A chapter did not come true: this program, on this machine, does not keep its promise."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left behind."""

    code: int
    document: Any
    """What `-o json` printed; None for text."""


class Program(Protocol):
    """Runs `maildomain-controller` in the sandbox's folder, as a user would, and shows what it says."""

    def __call__(self, *arguments: str, quiet: bool = False) -> Ran:
        """Run one command; `quiet` shows nothing, for what is only checked."""
        ...


@dataclass(slots=True)
class Story:
    """The story, on one folder with one DeployCenter."""

    folder: Folder
    communes: Sequence[Commune]
    double: Double
    program: Program
    console: Console
    turn_page: Callable[[], None]
    """Called between chapters."""

    def tell(self) -> None:
        """Tell every chapter. Raises `StoryUntrue` at the first one that does not come true."""
        chapters = (
            self.before,
            self.first_pass,
            self.in_sync,
            self.why,
            self.granted,
            self.revoked,
            self.outage,
            self.mass_removal,
            self.approval,
        )
        for number, chapter in enumerate(chapters, start=1):
            self.console.print(f"\n\n[bold cyan]{number}. {chapter.__doc__}[/bold cyan]")
            chapter()
            self.turn_page()

    # --- chapters; the first docstring is the title ---

    def before(self) -> None:
        """A mail database that nobody has kept in order: what would change?"""
        before = rows(self.folder.database)
        self.expect(0, "migrate")
        self.expect(3, "plan", *FILES)
        self.check("a plan writes nothing", rows(self.folder.database) == before)

    def first_pass(self) -> None:
        """Carry it out: who is entitled becomes an administrator, whoever is there stays."""
        by_hand = seats(self.folder.database)
        self.expect(0, "apply", *FILES)
        self.expect(0, "status")
        now = seats(self.folder.database)
        self.check("exactly the entitled people, and those who were there", now == by_hand | self.entitled())
        self.check("nothing on the undeclared domain", self.on("ancien-bourg.example", now) == 1)
        self.check("nothing on the observed domain", self.on("la-chapelle-aux-pins.example", now) == 1)

    def in_sync(self) -> None:
        """Once more: nothing to do, so nothing is written."""
        before, deeds = rows(self.folder.database), self.deeds()
        self.expect(0, "apply", *FILES)
        self.check("every row is byte for byte as it was", rows(self.folder.database) == before)
        self.check("the journal has no new entry", self.deeds() == deeds)

    def why(self) -> None:
        """Why is this person an administrator although DeployCenter does not say so?"""
        valbrume = self.communes[0]
        person = next(person for person in valbrume.people if person.by_hand)
        self.expect(0, "explain", person.email, valbrume.domain, *FILES)

    def granted(self) -> None:
        """DeployCenter makes somebody of Pontgrave a technician: the right is there after one pass."""
        pontgrave = self.commune("pontgrave.example")
        person = pontgrave.person(Role.AGENT)
        scene = self.scene()
        account = scene.account(person.email)
        account.links = {"admin": {"domains": [pontgrave.known_as]}}
        self.play(scene)
        before = seats(self.folder.database)
        self.expect(0, "apply", *FILES)
        seat = Seat(person.email, pontgrave.domain)
        self.check("one row more, that one", seats(self.folder.database) == before | {seat})

    def revoked(self) -> None:
        """The right is taken away again: asked twice, then gone, with the evidence in the journal."""
        pontgrave = self.commune("pontgrave.example")
        person = pontgrave.person(Role.AGENT)
        scene = self.scene()
        scene.account(person.email).links = {}
        self.play(scene)
        before, asked = seats(self.folder.database), self.double.asked[person.email]
        self.expect(0, "apply", *FILES)
        seat = Seat(person.email, pontgrave.domain)
        self.check("one row less, that one", seats(self.folder.database) == before - {seat})
        self.check("the person was asked about twice", self.double.asked[person.email] == asked + 2)
        self.expect(0, "journal", "--since", "1h", "--limit", "1")

    def outage(self) -> None:
        """DeployCenter is down: everything stays, and the exit code says so."""
        before = rows(self.folder.database)
        self.play(replace(self.scene(), behaviour="down"))
        self.expect(7, "apply", *FILES)
        self.check("every row stays", rows(self.folder.database) == before)

    def mass_removal(self) -> None:
        """DeployCenter answers [] for everybody, as after a wrong configuration: held before the first row is gone."""
        before = rows(self.folder.database)
        self.play(replace(self.scene(), behaviour="empty"))
        self.expect(5, "apply", *FILES)
        self.check("every row stays", rows(self.folder.database) == before)
        self.expect(0, "status")
        self.check("one hold waits for approval", len(self.holds()) == 1)
        self.play(replace(self.scene(), behaviour=None))
        self.console.print("\nSomebody repairs DeployCenter. Nobody has to do anything here:")
        self.expect(0, "apply", *FILES)
        self.check("the hold is gone", not self.holds())
        self.check("nobody has lost anything", rows(self.folder.database) == before)

    def approval(self) -> None:
        """This time it is meant: the whole of Roquesèche leaves. It is held until a person approves exactly that."""
        roqueseche = self.commune("xn--roquesche-53a.example")
        scene = self.scene()
        scene.world.accounts = [account for account in scene.world.accounts if account.siret != roqueseche.siret]
        self.play(scene)
        before = seats(self.folder.database)
        self.expect(5, "apply", *FILES)
        self.check("every row stays until then", seats(self.folder.database) == before)
        [hold] = self.holds()
        self.expect(0, "apply", *FILES, "--approve", hold)
        gone = {Seat(person.email, roqueseche.domain) for person in roqueseche.people if person.role.administers}
        self.check("those rows are gone, and no other", seats(self.folder.database) == before - gone)

    # --- checking ---

    def expect(self, code: int, *arguments: str) -> None:
        """Run a command that has to end with this exit code."""
        ran = self.program(*arguments)
        self.check(f"exit code {code}", ran.code == code, f"it was {ran.code}")

    def check(self, promise: str, kept: bool, instead: str = "") -> None:  # noqa: FBT001  # the fact itself
        """Say what was promised, and stop where it did not come true."""
        if not kept:
            raise StoryUntrue(f"not so: {promise}" + (f" ({instead})" if instead else ""))
        self.console.print(f"  [green]✓[/green] {promise}")

    # --- the world ---

    def scene(self) -> Scene:
        """What DeployCenter says now."""
        return read_scene(self.folder.scene)

    def play(self, scene: Scene) -> None:
        """Let DeployCenter say something else, and note it in the folder."""
        write_scene(self.folder.scene, scene)
        self.double.world, self.double.behaviour = scene.world, scene.odd

    def commune(self, domain: str) -> Commune:
        """One commune."""
        return next(commune for commune in self.communes if commune.domain == domain)

    def entitled(self) -> frozenset[Seat]:
        """Who has to be an administrator after the first pass: written down here, not asked from what is shown."""
        return frozenset(self._entitled())

    def _entitled(self) -> Iterator[Seat]:
        for commune in self.communes:
            if commune.there and commune.mode in ("Enforce", "GrantOnly"):
                yield from (
                    Seat(person.email, commune.domain)
                    for person in commune.people
                    if person.role.administers and person.active and not person.twin
                )

    @staticmethod
    def on(domain: str, found: Iterable[Seat]) -> int:
        """How many administrators a domain has."""
        return sum(seat.domain == domain for seat in found)

    def deeds(self) -> int:
        """How many entries the journal has."""
        return len(self.program("journal", "-o", "json", quiet=True).document["entries"])

    def holds(self) -> list[str]:
        """The holds that wait for approval."""
        holds = self.program("status", "-o", "json", quiet=True).document["holds"]
        return [hold["id"] for hold in holds if not hold["approved"]]
