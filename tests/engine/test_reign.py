"""The operator's work over a real database, with objects in memory and a clock of its own."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from controller.engine.rollback import release, undo
from controller.engine.telling import FIRST_ANSWERS
from controller.engine.world import Kind
from controller.maildb.database import MailDatabase
from controller.maildb.journal import Selection
from controller.maildb.writing import Written
from controller.planning.changes import Changes
from controller.planning.facts import AnswerReason, Subject, Unavailable, Unknown, Verdict
from controller.planning.features import Features
from controller.resources.names import ResourceKey
from tests.support.database import MailWorld
from tests.support.operating import SOURCE, Operating, admins, counting, town
from tests.support.town import SIRET


def down(_: Subject) -> Verdict:
    """The service is away."""
    return Unavailable(AnswerReason.CONNECTION)


async def test_a_right_is_granted_as_soon_as_it_is_known(operating: Operating, world: MailWorld) -> None:
    world.user("ada@x.fr")
    world.domain("x.fr")
    operating.source.says["ada@x.fr"] = frozenset({"x.fr"})
    operating.domain("x.fr")
    await operating.settle()
    assert admins(world, "x.fr") == 1
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("True", "InSync")
    assert operating.world.condition(Kind.SOURCE, "deploycenter") == ("True", "Answering")


async def test_a_new_user_is_granted_without_waiting_for_a_wave(operating: Operating, world: MailWorld) -> None:
    world.domain("x.fr")
    operating.domain("x.fr")
    await operating.settle()
    world.user("new@x.fr")
    operating.source.says["new@x.fr"] = frozenset({"x.fr"})
    await operating.settle(2)
    assert admins(world, "x.fr") == 1


async def test_the_first_status_of_an_object_waits_for_its_first_outcome_if_that_comes_soon(
    operating: Operating, world: MailWorld
) -> None:
    world.user("ada@x.fr")
    world.domain("x.fr")
    operating.source.open.clear()
    operating.domain("x.fr")
    await operating.turn_while_asking()
    assert operating.world.status(Kind.DOMAIN, "x-fr") == {"observedGeneration": -1}
    operating.now += FIRST_ANSWERS
    await operating.turn_while_asking()
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("Unknown", "Progressing")
    operating.source.open.set()
    await operating.settle()
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("True", "InSync")
    assert operating.world.patches.count((Kind.DOMAIN, ResourceKey("default", "x-fr"))) == 2


def turned_away(subject: Subject) -> Verdict | None:
    """The service answers about members of an organization only."""
    return None if subject.sirets else Unknown(AnswerReason.NO_SIRET)


async def test_who_was_turned_away_is_asked_again_as_soon_as_an_organization_is_declared(
    operating: Operating, world: MailWorld
) -> None:
    world.user("ada@y.fr")
    world.domain("x.fr")
    world.domain("y.fr")
    operating.source.says["ada@y.fr"] = frozenset({"x.fr", "y.fr"})
    operating.source.instead = turned_away
    operating.domain("x.fr")
    await operating.settle()
    await operating.settle(60)
    assert operating.source.asked == ["ada@y.fr"], "the same question is not put again"
    operating.domain("y.fr", organization={"siret": SIRET})
    await operating.settle(2)
    assert (admins(world, "x.fr"), admins(world, "y.fr")) == (1, 1)
    assert operating.source.asked == ["ada@y.fr"] * 2


async def test_an_organization_that_is_declared_while_somebody_is_asked_about_counts_as_well(
    operating: Operating, world: MailWorld
) -> None:
    world.user("ada@y.fr")
    world.domain("x.fr")
    operating.source.says["ada@y.fr"] = frozenset({"x.fr"})
    operating.source.instead = turned_away
    operating.source.open.clear()
    operating.domain("x.fr")
    await operating.turn_while_asking()
    operating.domain("y.fr", organization={"siret": SIRET})
    await operating.turn_while_asking()
    operating.source.open.set()
    await operating.settle()
    assert admins(world, "x.fr") == 1


async def test_a_right_that_is_gone_is_revoked_by_the_next_wave(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 3)
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    await operating.wave()
    assert admins(world, "d00001.fr") == 1
    assert len(world.rows_of("messages_maildomainaccess")) == 5
    assert operating.world.status(Kind.DOMAIN, "d00001-fr")["lastChange"]["revoked"] == 1


async def test_a_revocation_needs_the_second_ask(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 3)
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    await operating.settle(operating.desk.interval)
    assert len(world.rows_of("messages_maildomainaccess")) == 6
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr", "Drifted") == ("True", "Suspected")
    operating.source.says["u00001-0@d00001.fr"] = frozenset({"d00001.fr"})
    await operating.settle(31)
    assert len(world.rows_of("messages_maildomainaccess")) == 6


async def test_quiet_intervals_write_no_row_and_no_domain_status(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 5)
    await operating.wave()
    rows, own = world.dump(), world.dump_own()["journal"]
    with counting(operating.world) as patches:
        for _ in range(6):
            await operating.wave()
    assert world.dump() == rows
    assert world.dump_own()["journal"] == own
    assert {kind for kind, _ in patches} == {Kind.SOURCE}
    assert len(patches) == 6, "the heartbeat of the source, once an interval"


async def test_an_outage_keeps_everything_and_says_so(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 5)
    operating.source.instead = down
    rows = world.dump()
    for _ in range(5):
        await operating.wave()
    assert world.dump() == rows
    assert operating.world.condition(Kind.SOURCE, "deploycenter", "Reachable") == ("False", "Unreachable")
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("Unknown", "SourceStale")
    operating.source.instead = lambda _: None
    await operating.wave()
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("True", "InSync")


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_source_that_fails_for_long_is_one_error_until_it_answers(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 1)
    with capture_logs() as records:
        for instead in (down, down, down, lambda _: None):
            operating.source.instead = instead
            await operating.wave()
    assert [(record["event"], record["what"]) for record in records if "what" in record] == [
        ("failure_lasts", f"EntitlementSource {SOURCE}"),
        ("failure_over", f"EntitlementSource {SOURCE}"),
    ]


@pytest.mark.parametrize("domains", [60, 400])
async def test_a_mass_removal_is_held_before_its_first_row_is_gone(
    operating: Operating, world: MailWorld, domains: int
) -> None:
    await town(operating, world, domains)
    operating.source.says.clear()
    await operating.wave()
    assert len(world.rows_of("messages_maildomainaccess")) == 2 * domains
    hold = operating.world.status(Kind.SOURCE, "deploycenter")["hold"]
    assert hold["count"] == 2 * domains
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("False", "RevocationsHeld")


async def test_a_mass_removal_that_arrives_slowly_is_held_as_surely(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 60)
    for email in sorted(operating.source.says):
        operating.source.says[email] = frozenset()
        if email.endswith("0.fr"):
            await operating.wave()
    assert len(world.rows_of("messages_maildomainaccess")) >= 120 - 30
    assert operating.world.status(Kind.SOURCE, "deploycenter")["hold"]["count"] >= 80


@pytest.mark.timeout(300)
@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_ten_thousand_domains_that_lose_their_administrators_slowly_are_held(
    operating: Operating, world: MailWorld
) -> None:
    everybody = 10_000
    world.population(everybody, everybody, everybody)
    emails = [f"u{number}@d{number}.fr" for number in range(everybody)]
    for number, email in enumerate(emails):
        operating.source.says[email] = frozenset({f"d{number}.fr"})
        operating.domain(f"d{number}.fr")
    await operating.settle()
    for start in range(0, 4_000, 2_000):
        operating.source.says |= dict.fromkeys(emails[start : start + 2_000], frozenset())
        await operating.wave()
    assert len(world.rows_of("messages_maildomainaccess")) == everybody - 2_000
    assert operating.world.status(Kind.SOURCE, "deploycenter")["hold"]["count"] == 2_000


async def test_an_approval_by_annotation_executes_at_once(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 60)
    operating.source.says.clear()
    await operating.wave()
    hold = operating.world.status(Kind.SOURCE, "deploycenter")["hold"]["id"]
    operating.world.annotate(Kind.SOURCE, SOURCE, approve=hold)
    operating.reign.notice()
    await operating.settle(5)
    assert world.rows_of("messages_maildomainaccess") == []
    assert "hold" not in operating.world.status(Kind.SOURCE, "deploycenter")


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_term_ends_also_in_the_moment_in_which_there_is_work(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 1)
    await operating.wave()
    await operating.reign.turn()
    async with asyncio.timeout(20):
        await operating.reign.close()


async def test_after_a_restart_nothing_is_revoked_before_a_complete_wave(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 5)
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    silent = {"u00003-0@d00003.fr", "u00003-1@d00003.fr"}
    await operating.restart()
    operating.source.instead = lambda subject: down(subject) if subject.email.reveal() not in silent else None
    await operating.settle()
    await operating.settle(31)
    assert len(world.rows_of("messages_maildomainaccess")) == 10
    operating.source.instead = lambda _: None
    await operating.wave()
    assert len(world.rows_of("messages_maildomainaccess")) == 9


async def test_a_poked_domain_is_echoed_when_its_outcome_stands(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 3)
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    operating.domain("d00001.fr")
    operating.world.annotate(Kind.DOMAIN, SOURCE._replace(name="d00001-fr"), requestedAt="now-1")
    operating.reign.notice()
    await operating.settle(1)
    assert operating.world.status(Kind.DOMAIN, "d00001-fr").get("lastHandledReconcileAt") is None
    await operating.settle(31)
    assert operating.world.status(Kind.DOMAIN, "d00001-fr")["lastHandledReconcileAt"] == "now-1"
    assert admins(world, "d00001.fr") == 1


async def test_a_poked_source_asks_everybody_and_echoes_last(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 3)
    world.user("nobody@x.fr")
    await operating.settle(2)
    operating.source.asked.clear()
    operating.world.annotate(Kind.SOURCE, SOURCE, requestedAt="now-1")
    operating.reign.notice()
    await operating.settle(1)
    assert sorted(operating.source.asked).count("nobody@x.fr") == 1
    assert len(operating.source.asked) == 7
    assert operating.world.status(Kind.SOURCE, "deploycenter")["lastHandledReconcileAt"] == "now-1"


async def test_one_ask_a_user_and_wave_and_two_for_suspects(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 3)
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    operating.source.asked.clear()
    await operating.wave()
    assert len(operating.source.asked) == 7
    assert operating.source.asked.count("u00001-0@d00001.fr") == 2


async def test_an_invalid_object_stalls_alone(operating: Operating, world: MailWorld) -> None:
    operating.world.apply(Kind.DOMAIN, "broken", domain="NOT canonical", mode="Enforce", sourceRefs=[])
    await town(operating, world, 1)
    assert operating.world.condition(Kind.DOMAIN, "broken", "Stalled") == ("True", "InvalidSpec")
    assert operating.world.condition(Kind.DOMAIN, "d00000-fr") == ("True", "InSync")


async def test_a_deleted_resource_changes_no_row(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 3)
    rows = world.dump()
    operating.source.says.clear()
    operating.world.objects[Kind.DOMAIN].clear()
    operating.reign.notice()
    await operating.wave()
    assert world.dump() == rows


async def test_a_plan_that_another_writer_outdates_is_made_again(
    operating: Operating, world: MailWorld, database: MailDatabase
) -> None:
    await town(operating, world, 3)
    with database.seized():
        pass
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    await operating.wave()
    assert admins(world, "d00001.fr") == 1


async def test_a_row_that_was_deleted_by_hand_is_restored(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 2)
    world.execute("DELETE FROM messages_maildomainaccess")
    await operating.settle(2)
    assert len(world.rows_of("messages_maildomainaccess")) == 4


async def test_a_missing_domain_is_pending_and_granted_when_it_appears(operating: Operating, world: MailWorld) -> None:
    world.user("ada@x.fr")
    operating.source.says["ada@x.fr"] = frozenset({"x.fr"})
    operating.domain("x.fr")
    await operating.settle()
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("False", "DomainMissing")
    assert operating.world.status(Kind.DOMAIN, "x-fr")["admins"]["pending"] == 1
    world.domain("x.fr")
    await operating.settle(2)
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("True", "InSync")


async def test_a_freeze_is_seen_within_seconds_and_lifted_as_soon(
    operating: Operating, world: MailWorld, database: MailDatabase
) -> None:
    await town(operating, world, 3)
    database.freeze("a drill")
    await operating.settle(2)
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr", "Reconciling") == ("False", "Frozen")
    assert operating.world.condition(Kind.SOURCE, "deploycenter", "Reconciling") == ("False", "Frozen")
    assert b"maildomain_frozen 1.0" in operating.metrics.text()
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    world.execute(
        "DELETE FROM messages_maildomainaccess WHERE id IN (SELECT a.id FROM messages_maildomainaccess a"
        " JOIN messages_maildomain d ON d.id = a.maildomain_id WHERE d.name = 'd00002.fr' LIMIT 1)"
    )
    rows, own = world.dump(), world.dump_own()
    await operating.wave()
    await operating.wave()
    assert (world.dump(), world.dump_own()) == (rows, own)
    database.lift_freeze()
    await operating.settle(2)
    assert len(world.rows_of("messages_maildomainaccess")) == 6, "what is missing is granted at once"
    await operating.wave()
    assert admins(world, "d00001.fr") == 1
    assert b"maildomain_frozen 0.0" in operating.metrics.text()


async def test_a_freeze_between_plan_and_write_is_no_failure(
    operating: Operating, world: MailWorld, database: MailDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town(operating, world, 1)
    write = database.write

    def freeze_first(changes: Changes, *, epoch: int) -> Written:
        database.freeze(None)
        return write(changes, epoch=epoch)

    monkeypatch.setattr(database, "write", freeze_first)
    world.execute("DELETE FROM messages_maildomainaccess")
    await operating.settle(2)
    assert world.rows_of("messages_maildomainaccess") == []
    assert operating.world.condition(Kind.DOMAIN, "d00000-fr", "Reconciling") == ("False", "Frozen")


@pytest.mark.parametrize("ownership", ["Ledger", "Authoritative"])
async def test_a_denied_administrator_goes_at_once_whatever_the_source_says(
    operating: Operating, world: MailWorld, ownership: str
) -> None:
    operating.source.instead = down
    row = world.domain("x.fr")
    for email in ("ada@x.fr", "Bad@X.fr", "gone@x.fr", "eve@x.fr"):
        world.admin(world.user(email, active=email != "gone@x.fr"), row)
    kept = world.user("other@x.fr")
    world.admin(kept, row, role=42)
    operating.domain(
        "x.fr",
        ownership=ownership,
        deniedAdmins=["bad@x.fr", "gone@x.fr", "other@x.fr"],
        limits={"revocations": {"max": "0%"}, "minAdmins": 2},
    )
    await operating.reign.turn()
    assert admins(world, "x.fr") == 3, "before the first answer, wave and confirmation; another role stays"
    entries = operating.database.journal()
    assert [(entry.what, entry.reason) for entry in entries if entry.user] == [("revoked", "Denied")] * 2
    await operating.settle(FIRST_ANSWERS)
    status = operating.world.status(Kind.DOMAIN, "x-fr")
    assert (status["admins"]["denied"], status["lastChange"]["revoked"]) == (0, 2), "what was done before it was told"
    operating.source.instead = lambda _: None
    operating.source.says["Bad@X.fr"] = frozenset({"x.fr"})
    await operating.wave()
    assert admins(world, "x.fr") == 3, "a source that names them grants nothing"


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_where_accesses_are_not_managed_by_hand_a_denied_administrator_stays_and_others_come(
    operating: Operating, world: MailWorld
) -> None:
    operating.around = replace(operating.around, features=Features(maildomain_manage_accesses=False))
    await operating.restart()
    world.admin(world.user("bad@x.fr"), world.domain("x.fr"))
    world.user("ada@x.fr")
    operating.source.says = dict.fromkeys(("ada@x.fr", "bad@x.fr"), frozenset({"x.fr"}))
    operating.domain("x.fr", deniedAdmins=["bad@x.fr"])
    await operating.settle()
    assert admins(world, "x.fr") == 2
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("False", "FeatureDisabled")


async def test_a_domain_that_only_observes_shows_its_denied_administrators(
    operating: Operating, world: MailWorld
) -> None:
    world.admin(world.user("bad@x.fr"), world.domain("x.fr"))
    operating.domain("x.fr", mode="Observe", deniedAdmins=["bad@x.fr"])
    await operating.settle()
    assert admins(world, "x.fr") == 1
    assert operating.world.status(Kind.DOMAIN, "x-fr")["admins"]["denied"] == 1
    assert operating.world.condition(Kind.DOMAIN, "x-fr") == ("True", "Observing")


async def test_what_a_rollback_restored_stays_until_it_is_released(
    operating: Operating, world: MailWorld, database: MailDatabase
) -> None:
    await town(operating, world, 3)
    rows = world.dump()
    operating.source.says["u00001-0@d00001.fr"] = frozenset()
    await operating.wave()
    assert admins(world, "d00001.fr") == 1
    assert undo(database, Selection(since=timedelta(hours=1)), write=True).written
    await operating.wave()
    await operating.wave()
    assert world.dump() == rows
    assert operating.world.status(Kind.DOMAIN, "d00001-fr")["admins"]["pinned"] == 1
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("True", "InSync")
    assert release(database, Selection(), write=True).written
    await operating.settle(2)
    assert operating.world.status(Kind.DOMAIN, "d00001-fr")["admins"]["pinned"] == 0, "seen without a wave"
    await operating.wave()
    assert world.dump() == rows
    hold = operating.world.status(Kind.DOMAIN, "d00001-fr")["hold"]
    assert hold["count"] == 1, "what was undone counts within its window: the second removal needs a person"
    operating.world.annotate(Kind.DOMAIN, SOURCE._replace(name="d00001-fr"), approve=hold["id"])
    operating.reign.notice()
    await operating.settle(2)
    assert admins(world, "d00001.fr") == 1


async def test_the_journal_is_pruned_once_a_day(operating: Operating, world: MailWorld, database: MailDatabase) -> None:
    await town(operating, world, 1)
    operating.around = replace(operating.around, retention=timedelta(0))
    await operating.restart()
    await operating.settle()
    assert len(database.journal()) == 1
    world.execute("DELETE FROM messages_maildomainaccess")
    await operating.settle(2)
    assert len(database.journal()) == 3
    await operating.settle(86_400)
    assert len(database.journal()) == 1


async def test_two_writers_do_not_fight_for_ever(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 1)
    for _ in range(8):
        world.execute("DELETE FROM messages_maildomainaccess")
        await operating.settle(2)
    assert world.rows_of("messages_maildomainaccess") == []
    assert operating.world.condition(Kind.DOMAIN, "d00000-fr") == ("False", "Contested")
    assert operating.world.status(Kind.DOMAIN, "d00000-fr")["admins"]["contested"] == 2
    assert b"maildomain_contested 2.0" in operating.metrics.text()
    assert sum(entry.what == "granted" for entry in operating.database.journal()) == 6, "three times each"


async def test_a_changed_e_mail_holds_the_removal(operating: Operating, world: MailWorld) -> None:
    row, ada = world.domain("x.fr"), world.user("ada@x.fr")
    operating.source.says["ada@x.fr"] = frozenset({"x.fr"})
    operating.domain("x.fr", limits={"revocations": {"max": "100%"}})
    await operating.settle()
    assert world.admins_of(row) == {ada}
    world.execute("UPDATE messages_user SET email = 'lovelace@x.fr'")
    await operating.settle(2)
    await operating.wave()
    assert world.admins_of(row) == {ada}
    assert operating.world.condition(Kind.DOMAIN, "x-fr", "RevocationsHeld") == ("True", "IdentityChanged")


async def test_an_edit_does_not_wait_for_the_pause_after_a_long_pass(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 1)
    operating.reign._next_pass = operating.now + 3_600
    operating.domain("d00000.fr", protectedAdmins=["dsi@d00000.fr"])
    await operating.settle()
    assert operating.world.status(Kind.DOMAIN, "d00000-fr")["observedGeneration"] == 2


async def test_the_age_of_the_last_wave_goes_on_growing_over_restarts(operating: Operating, world: MailWorld) -> None:
    """A process that is restarted before each end of a wave would otherwise never be late."""
    await town(operating, world, 1)
    source = {"source_namespace": SOURCE.namespace, "source_name": SOURCE.name}
    name = "maildomain_last_wave_timestamp_seconds"
    ended = operating.metrics.registry.get_sample_value(name, source)
    operating.source.instead = down
    operating.metrics.gauges(leading=False)
    assert operating.metrics.registry.get_sample_value(name, source) is None
    await operating.restart()
    await operating.settle(600)
    remembered = operating.metrics.registry.get_sample_value(name, source)
    assert ended is not None
    assert remembered == pytest.approx(ended, abs=1)
