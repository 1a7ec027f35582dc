"""Who may open what, over HTTP: the answers of `review`, and errors that are never a no."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from controller.engine.courtroom import FRESH, STALE, Courtroom
from controller.errors import DatabaseUnavailable
from controller.maildb.database import MailDatabase
from controller.observability.metrics import Metrics
from controller.provisioning.accessreviews import PATH, access_reviews
from controller.provisioning.application import application
from controller.provisioning.authentication import Bearer, KeyRing
from controller.provisioning.declared import FolderDeclared
from controller.provisioning.rates import Rates
from tests.support.database import MailWorld, database, database_url, dialect, world
from tests.support.permissions import COMMUNE, binding, bought, group, maildomain, role, service
from tests.support.provisioning import BEARER, BY_CHANNEL, KEY, write_keys
from tests.support.services import Household, household

__all__ = ["database", "database_url", "dialect", "world"]

ANNE, BEN = f"anne@{COMMUNE}", f"ben@{COMMUNE}"
DECLARED = [
    maildomain(default="member", services=["docs", "drive"], enforcement="Enforce"),
    service("docs"),
    bought("drive"),
    role("member", ["docs"]),
    role("elected", "All", acts_as="All"),
    binding("elected", ANNE),
]


class Asked:
    """One API over a folder and a database, with a clock of its own."""

    def __init__(self, commune: Household, folder: Path) -> None:
        self.commune = commune
        self.folder = folder
        self.now = 1000.0
        self.declare(*DECLARED)
        self.court = Courtroom(commune.database, FolderDeclared(folder), lambda: self.now)
        gate = Bearer(KeyRing(write_keys(folder.parent / "keys", portal=KEY)))
        self.rates = Rates(1, 50)
        app = application([access_reviews(gate, self.rates, self.court)], Metrics())
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api.example")

    def declare(self, *declared: Any) -> None:
        """Replace what is declared."""
        for file in self.folder.glob("*.yaml"):
            file.unlink()
        for item in declared:
            document = item.model_dump(mode="json", by_alias=True, exclude_unset=True)
            (self.folder / f"{item.kind}-{item.metadata.name}.yaml").write_text(yaml.safe_dump(document))

    async def ask(self, headers: Any = BEARER, **question: Any) -> httpx.Response:
        return await self.client.post(PATH, headers=headers, json={"domain": COMMUNE, "user": ANNE, **question})

    async def services(self, **question: Any) -> dict[str, tuple[bool | None, str]]:
        response = await self.ask(**question)
        assert response.status_code == 200, response.text
        return {each["name"]: (each["allowed"], each["reason"]) for each in response.json()["services"]}

    async def later(self, seconds: float) -> None:
        """Let time pass; a question makes it look again, and the next one sees."""
        self.now += seconds
        await self.ask()
        for _ in range(500):
            if self.court._looking is None or self.court._looking.done():
                return
            await asyncio.sleep(0.01)


@pytest.fixture
async def asked(database: MailDatabase, world: MailWorld, tmp_path: Path) -> AsyncIterator[Asked]:
    folder = tmp_path / "manifests"
    folder.mkdir()
    found = Asked(household(database, world, "anne", "ben"), folder)
    yield found
    await found.client.aclose()
    await found.court.close()


async def test_the_answer_is_that_of_the_rules(asked: Asked) -> None:
    response = await asked.ask(user=BEN)
    assert response.json() == {
        "gate": "Allowed",
        "reason": "DefaultRole",
        "services": [
            {"name": "docs", "allowed": True, "reason": "DefaultRole"},
            {"name": "drive", "allowed": False, "reason": "NotSelected"},
        ],
    }
    assert await asked.services(user=BEN, service="docs") == {"docs": (True, "DefaultRole")}


@pytest.mark.parametrize(("spec", "said"), [({"mode": "Observe"}, True), ({"enforcement": "Audit"}, True), ({}, None)])
async def test_a_domain_that_is_only_audited_says_so(asked: Asked, spec: dict[str, str], said: bool | None) -> None:
    domain = maildomain(default="member", services=["docs", "drive"], **({"enforcement": "Enforce"} | spec))
    asked.declare(domain, *DECLARED[1:])
    answer = (await asked.ask(user=BEN, service="drive")).json()
    assert (answer["services"][0]["allowed"], answer.get("advisory")) == (False, said)


async def test_a_subscription_is_what_the_rows_say(asked: Asked) -> None:
    assert await asked.services(service="drive") == {"drive": (None, "Stale")}
    asked.commune.decide(*DECLARED, subscribed={"drive": True})
    assert await asked.services(service="drive") == {"drive": (True, "RoleAll")}
    asked.commune.decide(*DECLARED, subscribed={"drive": False})
    assert await asked.services(service="drive") == {"drive": (False, "NotSubscribed")}


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"domain": None}, "domain"),
        ({"domain": ""}, "domain"),
        ({"domain": "elsewhere.example"}, "domain"),
        ({"user": None}, "user"),
        ({"user": "nobody"}, "user"),
        ({"service": None}, "service"),
        ({"service": ""}, "service"),
        ({"service": ["docs"]}, "service"),
        ({"actingAs": ""}, "actingAs"),
        ({"acting_as": BEN}, "acting_as"),
    ],
    ids=str,
)
async def test_a_question_that_makes_no_sense_is_refused_and_never_a_no(
    asked: Asked, question: dict[str, Any], field: str
) -> None:
    response = await asked.ask(**question)
    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert "@" not in response.text


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer other"}, BY_CHANNEL], ids=str)
async def test_nobody_asks_without_a_key(asked: Asked, headers: dict[str, str]) -> None:
    assert (await asked.ask(headers)).status_code == 403


async def test_a_key_asks_at_its_rate(asked: Asked) -> None:
    asked.rates.burst = 2
    answers = [(await asked.ask()).status_code for _ in range(3)]
    assert answers == [200, 200, 429]


async def test_acting_as_somebody_is_journaled_and_looked_at_anew(asked: Asked, database: MailDatabase) -> None:
    assert await asked.services(actingAs=BEN, service="docs") == {"docs": (True, "DefaultRole")}
    (line,) = database.journal()[:1]
    assert (line.what, line.user, line.image["subject"]) == (
        "actedAs",
        asked.commune.people["anne"],
        asked.commune.people["ben"],
    )
    assert await acts(asked)
    asked.declare(*(item for item in DECLARED if item.kind != "MailDomainRoleBinding"))
    assert not await acts(asked)
    assert [str(entry.what) for entry in database.journal()].count("actedAs") == 2


async def acts(asked: Asked) -> bool:
    """Whether Anne may act as Ben, asked at the same moment of the clock as before."""
    response = await asked.ask(actingAs=BEN)
    assert response.status_code == 200, response.text
    reasons = {each["reason"] for each in response.json()["services"]}
    if response.json()["gate"] == "Allowed":
        return True
    assert reasons <= {"ImpersonationDenied", "UserInactive"}
    return False


@pytest.mark.parametrize(
    "loss",
    [
        "UPDATE messages_user SET is_active = false WHERE email = 'anne@{domain}'",
        "UPDATE messages_user SET is_active = false WHERE email = 'ben@{domain}'",
        "UPDATE messages_user SET is_superuser = true WHERE email = 'ben@{domain}'",
        "UPDATE messages_user SET email = 'ben@elsewhere.example' WHERE email = 'ben@{domain}'",
        "DELETE FROM messages_user WHERE email = 'ben@{domain}'",
    ],
)
async def test_nobody_is_acted_as_of_whom_the_database_says_otherwise_now(
    asked: Asked, world: MailWorld, loss: str
) -> None:
    assert await acts(asked)
    world.execute(loss.format(domain=COMMUNE))
    assert not await acts(asked)


async def test_a_new_administrator_of_another_domain_is_not_acted_as(asked: Asked, world: MailWorld) -> None:
    assert await acts(asked)
    world.admin(asked.commune.people["ben"], world.domain("elsewhere.example"))
    assert not await acts(asked)


@pytest.mark.parametrize("kind", ["MailDomainRole", "MailDomainGroup"])
async def test_whatever_a_right_hangs_on_is_looked_at_for_each_question(asked: Asked, kind: str) -> None:
    by_group = [item for item in DECLARED if item.kind != "MailDomainRoleBinding"]
    by_group += [group("team", ANNE), binding("elected", "team")]
    asked.declare(*by_group)
    assert await acts(asked)
    weaker = {
        "MailDomainRole": role("elected", "All"),
        "MailDomainGroup": group("team"),
    }[kind]
    replaced = (kind, weaker.metadata.name)
    asked.declare(*(weaker if (item.kind, item.metadata.name) == replaced else item for item in by_group))
    assert not await acts(asked)


async def test_what_was_declared_while_the_database_was_away_is_not_forgotten(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked.ask()
    asked.declare(*(item for item in DECLARED if item.kind != "MailDomainRoleBinding"))
    with monkeypatch.context() as patched:
        patched.setattr(asked.commune.database, "pulse", lambda: (_ for _ in ()).throw(DatabaseUnavailable("away")))
        assert (await asked.ask(actingAs=BEN)).status_code == 503
    assert not await acts(asked)


async def test_rights_of_ones_own_are_those_of_the_rows_of_now(asked: Asked, world: MailWorld) -> None:
    assert await asked.services(user=BEN, service="docs") == {"docs": (True, "DefaultRole")}
    world.admin(asked.commune.people["ben"], asked.commune.row)
    assert await asked.services(user=BEN, service="docs") == {"docs": (True, "DomainAdmin")}
    world.execute(f"UPDATE messages_user SET is_active = false WHERE email = '{BEN}'")
    assert await asked.services(user=BEN, service="docs") == {"docs": (False, "UserInactive")}


async def test_an_e_mail_of_two_people_is_no_answer(asked: Asked, world: MailWorld) -> None:
    world.user(ANNE)
    assert (await asked.ask()).status_code == 409


async def test_somebody_new_is_known_soon(asked: Asked, world: MailWorld) -> None:
    new = f"new@{COMMUNE}"
    assert (await asked.ask(user=new)).json()["reason"] == "NotMember"
    world.user(new)
    await asked.later(FRESH)
    assert (await asked.ask(user=new)).json()["reason"] == "DefaultRole"


async def test_what_was_known_is_answered_for_a_while_and_not_longer(
    asked: Asked, database: MailDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked.ask()
    asked.folder.joinpath("broken.yaml").write_text("kind: [")
    await asked.later(FRESH)
    assert (await asked.ask()).status_code == 200
    await asked.later(STALE)
    response = await asked.ask()
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("other", ["owner = 'other'", "resource = 'org/other'"])
async def test_a_domain_that_is_claimed_by_somebody_else_is_not_known(
    asked: Asked, world: MailWorld, other: str
) -> None:
    assert (await asked.ask()).status_code == 200
    world.execute(f"UPDATE {asked.commune.place}claim SET {other}")
    assert (await asked.ask()).status_code == 400
    await asked.later(FRESH)
    assert (await asked.ask()).status_code == 400
