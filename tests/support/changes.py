"""What may a transaction write? Changes of every kind, made in a line each."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.maildb.database import MailDatabase
from controller.maildb.journal import Selection
from controller.maildb.writing import Written
from controller.planning.changes import Adoption, Changes, Grant, NotEntitled, Restoration, Revocation
from controller.planning.facts import (
    Access,
    AccessId,
    Agreed,
    Case,
    CaseState,
    DomainId,
    Evidence,
    Hold,
    Holding,
    Known,
    Removal,
    Scope,
    UserId,
)
from controller.resources.names import DomainName, ResourceKey
from tests.support.database import MailWorld

SOURCE = ResourceKey("default", "deploycenter")
MOMENT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def grant(user: str, domain: str, name: str = "x.fr") -> Grant:
    """A grant by one source."""
    return Grant(DomainId(domain), DomainName(name), UserId(user), (SOURCE,))


def access(row: str, user: str, domain: str) -> Access:
    """An administrator's row as a plan saw it."""
    return Access(AccessId(row), DomainId(domain), UserId(user), admin=True)


def adoption(row: Access, name: str = "x.fr") -> Adoption:
    """An adoption because one source names the user."""
    return Adoption(row, DomainName(name), (SOURCE,))


def case(row: Access, state: CaseState = CaseState.SUSPECTED, **fields: Any) -> Case:
    """A case about one row."""
    evidence = (Evidence(SOURCE, "Entitled", 0, "123"),)
    return Case(f"case-{row.id}", row.id, row.domain, row.user, state, MOMENT, evidence=evidence, **fields)


def revocation(row: Access, name: str = "x.fr") -> Revocation:
    """A revocation with the proof of one source."""
    proof = case(row, CaseState.CONFIRMED)
    return Revocation(row, DomainName(name), (SOURCE,), NotEntitled(proof, proof.evidence))


def hold(*rows: Access, **fields: Any) -> Hold:
    """A hold of a source's limit over these rows."""
    held = frozenset(Holding(row.domain, row.user) for row in rows)
    scope = Scope("EntitlementSource", SOURCE)
    return Hold("hold-1", scope, "revocations 25% in 24h", held, MOMENT, MOMENT + timedelta(hours=24), **fields)


def write(database: MailDatabase, changes: Changes) -> Written:
    """Write beside everybody else, as a command does."""
    with database.seized() as epoch:
        return database.write(changes, epoch=epoch)


@dataclass(frozen=True)
class Scene:
    """A domain with one row to revoke, one to adopt, one that is nobody's business, and somebody to grant."""

    changes: Changes
    domain: DomainId
    newcomer: UserId
    leaving: Access
    kept: Access


def scene(world: MailWorld) -> Scene:
    """A little of everything that a transaction may write, on `x.fr`."""
    domain = world.domain("x.fr")
    newcomer, former, present, bystander = (world.user() for _ in range(4))
    leaving = access(world.admin(former, domain), former, domain)
    kept = access(world.admin(present, domain), present, domain)
    world.admin(bystander, domain)
    changes = Changes(
        grants=(grant(newcomer, domain),),
        adoptions=(adoption(kept),),
        revocations=(revocation(leaving),),
        cases=(case(leaving, CaseState.EXECUTED), case(kept, CaseState.HELD, hold="hold-1")),
        holds=(hold(kept),),
        claims=((DomainName("x.fr"), ResourceKey("default", "x-fr")),),
        known=(Known(Scope("EntitlementSource", SOURCE), MOMENT),),
    )
    return Scene(changes, domain, newcomer, leaving, kept)


def everything(world: MailWorld, database: MailDatabase) -> Changes:
    """One write that has something of every kind: nothing that a transaction can do is left out."""
    vanished = world.domain("gone.fr")
    write(database, Changes(grants=(grant(world.user(), vanished, "gone.fr"),)))
    forgotten = tuple(database.snapshot({DomainName("gone.fr")}, ()).ledger)
    world.execute("DELETE FROM messages_maildomainaccess")
    restored, removed = _removals(world, database)
    write(database, Changes(restorations=(Restoration(restored),)))
    changes = replace(
        scene(world).changes,
        forgotten=forgotten,
        restorations=(Restoration(removed),),
        released=tuple(database.snapshot((), ()).pins.values()),
        agreed=(Agreed(DomainName("x.fr"), "mode=Enforce"),),
    )
    missing = [item.name for item in fields(changes) if not getattr(changes, item.name)]
    assert not missing, f"a kind of change that no crash has met: {missing}"
    return changes


def _removals(world: MailWorld, database: MailDatabase) -> tuple[Removal, ...]:
    """Two removals that can be undone."""
    domain = world.domain("back.fr")
    users = [world.user(), world.user()]
    rows = [access(world.admin(user, domain), user, domain) for user in users]
    write(database, Changes(adoptions=tuple(adoption(row, "back.fr") for row in rows)))
    write(database, Changes(revocations=tuple(revocation(row, "back.fr") for row in rows)))
    return database.removals(Selection())
