"""The rows about services: exactly what is decided, written where it differs, for readers who know nothing of roles."""

from typing import Any

import pytest

from controller.errors import Frozen, PlanOutdated
from controller.maildb.database import MailDatabase
from controller.maildb.services import ServiceFacts
from controller.planning.changes import Changes
from controller.resources.names import DomainName, ResourceKey
from tests.support.database import MailWorld, opened, watched
from tests.support.permissions import (
    COMMUNE,
    binding,
    bought,
    group,
    maildomain,
    restriction,
    role,
)
from tests.support.services import KEY, Household, household

ANNE, BEN, CARL = (f"{name}@{COMMUNE}" for name in ("anne", "ben", "carl"))
OLD = (restriction(drive="team"), group("team", ANNE))


@pytest.fixture
def commune(database: MailDatabase, world: MailWorld) -> Household:
    return household(database, world, "anne", "ben", "carl")


def served(**access: Any) -> Any:
    """The commune as it is served: no audit, no observation."""
    return maildomain(enforcement="Enforce", **access)


def test_readers_see_what_was_decided(commune: Household, world: MailWorld) -> None:
    world.admin(commune.people["carl"], commune.row)
    commune.decide(served(default="member"), role("member", ["docs"]), role("elected", "All"), binding("elected", ANNE))

    assert commune.opens("anne") == dict.fromkeys(("docs", "drive", "meet"), "RoleAll")
    assert commune.opens("ben") == {"docs": "DefaultRole"}
    assert commune.opens("carl") == dict.fromkeys(("docs", "drive", "meet"), "DomainAdmin")
    assert commune.rows("ben")["drive"]["reason"] == "NotSelected"


# What the first release has shown to readers. Later ones add behind it, and take nothing away.
FIRST_VIEW = ["maildomain_id", "user_id", "service_id", "allowed", "reason", "advisory", "stale", "updated_at"]
FIRST_IMPERSONATION = ["maildomain_id", "actor_id", "subject_id"]


def test_a_reader_of_an_earlier_release_reads_the_rows_of_this_one(commune: Household, world: MailWorld) -> None:
    declared = (served(default="member"), role("member", ["docs"], acts_as="All"), binding("member", ANNE))
    commune.decide(*declared)
    (row, *_) = world.execute(f"SELECT * FROM {commune.place}effective_services WHERE allowed")
    assert list(row)[: len(FIRST_VIEW)] == FIRST_VIEW
    (pair, *_) = world.execute(f"SELECT {', '.join(FIRST_IMPERSONATION)} FROM {commune.place}impersonation")
    assert set(pair) == set(FIRST_IMPERSONATION)


def test_in_sync_is_no_write(commune: Household, database: MailDatabase) -> None:
    declared = (served(default="member"), role("member", ["docs"], acts_as="All"), binding("member", ANNE))
    first = commune.decide(*declared)
    before = commune.updated()
    with watched(database) as seen:
        again = commune.decide(*declared)

    assert (first.written, again.written) == (1, 0)
    assert not [statement for statement in seen.writes if "fence" not in statement]
    assert commune.updated() == before


def test_a_change_of_one_role_rewrites_only_the_rows_that_differ(commune: Household, database: MailDatabase) -> None:
    roles = (role("clerk", ["docs"]), binding("clerk", ANNE))
    commune.decide(served(default="member"), role("member", ["docs"]), *roles)
    (before,) = commune.updated()
    commune.decide(served(default="member"), role("member", ["docs", "meet"]), *roles)

    assert {name: commune.opens(name) for name in ("anne", "ben")} == {
        "anne": {"docs": "RoleSelected"},
        "ben": {"docs": "DefaultRole", "meet": "DefaultRole"},
    }
    touched = {
        name
        for name in ("anne", "ben", "carl")
        for row in commune.rows(name).values()
        if str(row["updated_at"]) != before
    }
    assert touched == {"ben", "carl"}
    assert all(str(commune.rows(name)["docs"]["updated_at"]) == before for name in ("anne", "ben"))
    assert [entry.image for entry in database.journal(limit=1)] == [
        {"allowed": 2, "denied": 0, "removed": 0, "acting": 0, "actingRemoved": 0}
    ]


def test_everything_of_a_domain_is_in_one_transaction_with_the_fence(
    commune: Household, database: MailDatabase
) -> None:
    with watched(database) as seen:
        commune.decide(served(default="member"), role("member", "All", acts_as="All"), binding("member", ANNE))
    begin = next(
        place for place, text in enumerate(seen.sent) if text.startswith("INSERT") and "service_access" in text
    )
    end = next(place for place, text in enumerate(seen.sent) if text.startswith("INSERT") and "journal" in text)
    assert "COMMIT" not in seen.sent[begin:end]
    assert any("impersonation" in text for text in seen.sent[begin:end])


def test_an_audit_serves_everything_and_says_what_it_would_not(commune: Household) -> None:
    outcome = commune.decide(maildomain(default="member"), role("member", ["docs"]))

    assert set(commune.opens("ben")) == {"docs", "drive", "meet"}
    assert commune.rows("ben")["drive"]["reason"] == "NotSelected"
    assert all(row["advisory"] for row in commune.rows("ben").values())
    assert outcome.decided[KEY].ruling.would_lose == 3


def test_a_domain_that_is_only_observed_is_audited_whatever_it_enforces(commune: Household) -> None:
    commune.decide(maildomain(default="member", mode="Observe", enforcement="Enforce"), role("member", ["docs"]))

    assert all(row["advisory"] for row in commune.rows("ben").values())


def test_a_source_that_is_down_keeps_the_rows_and_marks_them(commune: Household) -> None:
    declared = (served(default="member"), role("member", ["docs", "drive"]), bought("drive"))
    commune.decide(*declared, subscribed={"drive": True})
    commune.decide(*declared)
    kept = commune.rows("ben")["drive"]
    assert (bool(kept["allowed"]), kept["reason"], bool(kept["stale"])) == (True, "DefaultRole", True)
    assert not commune.rows("ben")["docs"]["stale"]

    commune.decide(*declared, subscribed={"drive": False})
    known = commune.rows("ben")["drive"]
    assert (bool(known["allowed"]), known["reason"], bool(known["stale"])) == (False, "NotSubscribed", False)


def test_what_was_never_known_has_no_row(commune: Household) -> None:
    commune.decide(served(default="member"), role("member", ["docs", "drive"]), bought("drive"))

    assert set(commune.rows("ben")) == {"docs", "meet"}


def test_not_even_administrators_open_what_is_not_bought(commune: Household, world: MailWorld) -> None:
    world.admin(commune.people["carl"], commune.row)
    commune.decide(served(), bought("drive"), subscribed={"drive": False})

    assert set(commune.opens("carl")) == {"docs", "meet"}
    assert commune.rows("carl")["drive"]["reason"] == "NotSubscribed"


def test_an_administrator_who_is_revoked_falls_back_to_their_role_in_the_same_pass(
    commune: Household, world: MailWorld
) -> None:
    declared = (served(default="member"), role("member", ["docs"]))
    access = world.admin(commune.people["carl"], commune.row)
    commune.decide(*declared)
    world.execute("DELETE FROM messages_maildomainaccess WHERE id = :id", id=commune.stored(access))
    commune.decide(*declared)

    assert commune.opens("carl") == {"docs": "DefaultRole"}


def test_who_may_act_as_whom_follows_the_roles(commune: Household, world: MailWorld) -> None:
    world.admin(commune.people["carl"], world.domain("other.example"))
    acting = role("desk", ["docs"], acts_as="All")
    commune.decide(served(), acting, binding("desk", ANNE))
    assert commune.acting() == {("anne", "ben")}

    commune.decide(served(), role("desk", ["docs"]), binding("desk", ANNE))
    assert commune.acting() == set()


def test_who_is_gone_loses_their_rows(commune: Household, world: MailWorld) -> None:
    commune.decide(served(default="member"), role("member", "All"))
    world.execute("UPDATE messages_user SET is_active = false WHERE email = :email", email=BEN)
    commune.decide(served(default="member"), role("member", "All"))

    assert commune.rows("ben") == {}
    assert commune.opens("anne")


def test_a_domain_that_decides_on_nothing_any_more_has_no_rows(commune: Household, database: MailDatabase) -> None:
    domain = served(default="member")
    commune.decide(domain, role("member", "All", acts_as="All"), binding("member", ANNE))
    commune.decide(domain.model_copy(update={"spec": domain.spec.model_copy(update={"service_access": None})}))

    assert (commune.rows("anne"), commune.acting()) == ({}, set())
    assert database.service_facts().digests == {}


def test_a_domain_that_is_declared_no_more_keeps_its_rows(commune: Household) -> None:
    commune.decide(served(default="member"), role("member", "All"))
    assert commune.decide().written == 0

    assert commune.opens("anne")


@pytest.mark.parametrize("why", ["suspended", "never asked"])
def test_what_is_not_decided_now_stays_as_it_is(commune: Household, why: str) -> None:
    domain = served(default="member")
    commune.decide(domain, role("member", "All"))
    suspended = domain.model_copy(update={"spec": domain.spec.model_copy(update={"suspend": why == "suspended"})})
    commune.decide(suspended, role("member", "None"), undecided={KEY} if why == "never asked" else ())

    assert set(commune.opens("anne")) == {"docs", "drive", "meet"}


# --- who may write ----------------------------------------------------------------------------------------------------


def test_nothing_is_written_for_a_domain_of_another_owner(commune: Household, database_url: str) -> None:
    with opened(database_url, owner="other") as other:
        other.migrate()
        theirs = Household(other, commune.world, commune.row, commune.people)
        with pytest.raises(PlanOutdated, match="not claimed"):
            theirs.decide(served(default="member"), role("member", "All"))

    assert commune.rows("anne") == {}


def test_a_plan_from_before_somebody_elses_write_is_not_carried_out(
    commune: Household, database: MailDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = database.service_facts

    def facts() -> ServiceFacts:
        found = read()
        _raise_epoch(database)
        return found

    monkeypatch.setattr(database, "service_facts", facts)
    with pytest.raises(PlanOutdated, match="somebody else"):
        commune.decide(served(default="member"), role("member", "All"))

    assert commune.rows("anne") == {}


def _raise_epoch(database: MailDatabase) -> None:
    with database._gate.writing() as connection:
        prefix = "maildomain_controller." if connection.dialect.name == "postgresql" else "mdc_"
        connection.exec_driver_sql(f"UPDATE {prefix}fence SET epoch = epoch + 1")


def test_a_freeze_stops_rows_about_services_as_well(commune: Household, database: MailDatabase) -> None:
    database.freeze("stop")
    with pytest.raises(Frozen):
        commune.decide(served(default="member"), role("member", "All"))

    assert commune.rows("anne") == {}


def test_a_take_over_takes_the_rows_along(commune: Household, database_url: str) -> None:
    declared = (served(default="member"), role("member", "All"))
    commune.decide(*declared)
    with opened(database_url, owner="other") as other:
        other.migrate(take_over=COMMUNE)
        theirs = Household(other, commune.world, commune.row, commune.people)
        assert theirs.decide(*declared).written == 0
        theirs.decide(served(), role("member", "All"))

    assert commune.opens("anne") == {}


# --- the end of restrictions ------------------------------------------------------------------------------------------


def member(**access: Any) -> tuple[Any, ...]:
    """Everybody may open everything, but for restrictions."""
    return served(default="member", **access), role("member", "All"), *OLD


def test_the_end_of_restrictions_lets_nobody_in_before_it_is_approved(
    commune: Household, database: MailDatabase
) -> None:
    commune.decide(*member(legacyGroupRestrictions="Enabled"))
    assert set(commune.opens("anne")) == {"drive"}
    waiting = commune.decide(*member())
    (hold,) = waiting.holds

    assert waiting.decided[KEY].ruling.would_gain == hold.count == 3
    assert (str(hold.scope), hold.limit) == ("MailDomain org/commune", "legacyGroupRestrictions")
    assert set(commune.opens("anne")) == {"drive"}, "who is kept out of something waits with the others"
    assert commune.opens("ben") == {}
    assert database.snapshot((), ()).holds == (), "what decides about administrators does not know of it"


def test_what_waits_is_written_once(commune: Household, database: MailDatabase) -> None:
    commune.decide(*member(legacyGroupRestrictions="Enabled"))
    first = commune.decide(*member())
    with watched(database) as seen:
        again = commune.decide(*member())

    assert again.holds == first.holds
    assert not [statement for statement in seen.writes if "fence" not in statement]


def test_an_approval_lets_in_exactly_those_whom_it_covers(commune: Household, world: MailWorld) -> None:
    commune.decide(*member(legacyGroupRestrictions="Enabled"))
    (hold,) = commune.decide(*member()).holds
    late = world.user(f"dora@{COMMUNE}")
    commune.people = {**commune.people, "dora": late}
    outcome = commune.decide(*member(), approve=hold.id)

    assert outcome.holds == ()
    assert all(set(commune.opens(name)) == {"docs", "drive", "meet"} for name in ("anne", "ben", "carl"))
    assert set(commune.opens("dora")) == {"docs", "drive", "meet"}, "nothing has kept somebody out who is new"


def test_an_approval_serves_once(commune: Household) -> None:
    commune.decide(*member(legacyGroupRestrictions="Enabled"))
    (hold,) = commune.decide(*member()).holds
    commune.decide(*member(), approve=hold.id)
    commune.decide(*member(legacyGroupRestrictions="Enabled"))
    (next_one,) = commune.decide(*member(), approve=hold.id).holds

    assert next_one.id != hold.id
    assert commune.opens("ben") == {}


def test_restrictions_that_come_back_close_the_hold(commune: Household, database: MailDatabase) -> None:
    commune.decide(*member(legacyGroupRestrictions="Enabled"))
    commune.decide(*member())
    commune.decide(*member(legacyGroupRestrictions="Enabled"))

    assert database.service_facts().holds == ()
    assert len(database.service_facts().spent_holds) == 1


def test_a_hold_survives_while_its_domain_is_not_decided(commune: Household, database: MailDatabase) -> None:
    commune.decide(*member(legacyGroupRestrictions="Enabled"))
    waiting = commune.decide(*member()).holds
    commune.decide(*member(), undecided={KEY})

    assert database.service_facts().holds == waiting


def test_an_audit_that_ends_with_restrictions_off_holds_nobody(commune: Household) -> None:
    """Whoever could open everything while it was audited was kept out by nothing."""
    audited = maildomain(default="member", legacyGroupRestrictions="Enabled")
    commune.decide(audited, role("member", "All"), *OLD)

    assert commune.decide(*member()).holds == ()
    assert set(commune.opens("ben")) == {"docs", "drive", "meet"}


def test_many_domains_are_written_a_few_at_a_time(
    commune: Household, world: MailWorld, database: MailDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.engine.services.ROWS_AT_ONCE", 5)
    names = [f"d{number}.example" for number in range(4)]
    for name in names:
        world.domain(name)
        world.user(f"u@{name}")
    with database.seized() as epoch:
        claims = tuple((DomainName(name), ResourceKey("org", name.replace(".", "-"))) for name in names)
        database.write(Changes(claims=claims), epoch=epoch)
    domains = [maildomain(name.replace(".", "-"), domain=name, default="member") for name in names]

    outcome = commune.decide(*domains, role("member", "All"))
    assert outcome.written == 4
    assert (
        len({str(row["at"]) for row in world.execute(f"SELECT at FROM {commune.place}journal WHERE what = 'services'")})
        == 4
    )
