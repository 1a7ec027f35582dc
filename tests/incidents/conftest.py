"""Which fixtures does this layer use? A loop over SQLite, and a file run against the double of DeployCenter."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from controller.maildb.database import MailDatabase
from controller.planning.changes import Changes
from controller.sandbox.deploycenter import Account, Double, Organization, World
from tests.support.changes import grant, write
from tests.support.database import MailWorld, database, database_url, world
from tests.support.deploycenter import API_KEY, PIVOT
from tests.support.operating import Operating
from tests.support.planning import maildomain
from tests.support.towns import DOMAINS, Town

__all__ = ["database", "database_url", "world"]


@pytest.fixture
def dialect() -> str:
    """What is held here is decided above the database."""
    return "sqlite"


@pytest.fixture
async def operating(database: MailDatabase) -> AsyncIterator[Operating]:
    """A loop with one source, and no domains yet."""
    operating = Operating(database)
    operating.source_object()
    yield operating
    await operating.reign.close()


@pytest.fixture
async def town(database: MailDatabase, world: MailWorld) -> AsyncIterator[Town]:
    """Everything in order, and the service answering."""
    names = [f"d{number}.example" for number in range(DOMAINS)]
    accounts: list[Account] = []
    service = Double(World([Organization(PIVOT, "Commune 001", {"domains": names})], accounts, api_key=API_KEY))
    async with service.serve() as url:
        town = Town(database, world, service, url, domains=[maildomain(name) for name in names])
        rows = {name: world.domain(name) for name in names}
        users = {email: world.user(email) for email, _ in town.people()}
        accounts += [Account(email, PIVOT, links={"admin": {"domains": [name]}}) for email, name in town.people()]
        given = Changes(grants=tuple(grant(users[email], rows[name], name) for email, name in town.people()))
        write(database, given)
        yield town


@pytest.fixture
def unchanged(world: MailWorld) -> Iterator[Callable[[], None]]:
    """Remembers the rows when it is called first; at the end of the test they are still the same, byte for byte."""
    before: list[dict[str, list[str]]] = []
    yield lambda: before.append(world.dump())
    assert before, "the test says from when on nothing may change"
    assert world.dump() == before[0]
