"""What the watch tells of one object is taken over alone: nothing is listed, and nothing older undoes what is newer."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.engine.world import Kind
from controller.resources.names import ResourceKey
from tests.support.database import MailWorld, Statements, watched
from tests.support.operating import Operating, admins, as_sent, town

FIRST = ResourceKey("default", "d00000-fr")
FIRST_SPEC: dict[str, Any] = {"domain": "d00000.fr", "mode": "Enforce", "sourceRefs": [{"name": "deploycenter"}]}


@pytest.fixture
def unlisted(operating: Operating, monkeypatch: pytest.MonkeyPatch) -> list[Kind]:
    """The lists that are read."""
    lists: list[Kind] = []
    read = operating.world.read_objects

    async def counted(kind: Kind, take: Callable[[Mapping[str, Any]], Any]) -> list[Any]:
        lists.append(kind)
        return await read(kind, take)

    monkeypatch.setattr(operating.world, "read_objects", counted)
    return lists


def looks_at_holds(statements: Statements) -> list[str]:
    """What only a snapshot reads."""
    return [sent for sent in statements.sent if "FROM mdc_hold" in sent or "FROM maildomain_controller.hold" in sent]


async def test_an_edit_is_carried_out_without_a_list_and_without_a_look_at_the_rows(
    operating: Operating, world: MailWorld, unlisted: list[Kind]
) -> None:
    await town(operating, world, 3)
    unlisted.clear()
    operating.world.apply(Kind.DOMAIN, FIRST.name, **FIRST_SPEC, protectedAdmins=["dsi@x.fr"])
    operating.tell(operating.world.objects[Kind.DOMAIN][FIRST])
    with watched(operating.database) as statements:
        await operating.settle()
    assert operating.world.status(Kind.DOMAIN, FIRST.name)["observedGeneration"] == 2
    assert unlisted == []
    assert not looks_at_holds(statements)


async def test_a_mode_that_the_watch_tells_of_counts_at_once(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 3)
    operating.world.apply(Kind.DOMAIN, FIRST.name, **FIRST_SPEC | {"mode": "Observe"})
    operating.tell(operating.world.objects[Kind.DOMAIN][FIRST])
    operating.source.says = {email: frozenset() for email in operating.source.says if "00000" in email}
    await operating.wave()
    assert admins(world, "d00000.fr") == 2
    assert operating.world.condition(Kind.DOMAIN, FIRST.name) == ("True", "Observing")


async def test_an_event_that_is_older_than_what_is_known_changes_nothing(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 3)
    older = as_sent(operating.world.objects[Kind.DOMAIN][FIRST])
    operating.world.apply(Kind.DOMAIN, FIRST.name, **FIRST_SPEC | {"mode": "Observe"})
    operating.reign.notice()
    await operating.settle()
    operating.tell(older)
    operating.tell(older, "DELETED")
    await operating.settle()
    assert [item.spec.mode.value for item in operating.reign.listing.domains if item.key == FIRST] == ["Observe"]


async def test_a_new_domain_that_the_watch_tells_of_gets_its_administrators(
    operating: Operating, world: MailWorld, unlisted: list[Kind]
) -> None:
    await town(operating, world, 1)
    unlisted.clear()
    world.user("ada@new.fr")
    world.domain("new.fr")
    operating.source.says["ada@new.fr"] = frozenset({"new.fr"})
    operating.world.apply(Kind.DOMAIN, "new-fr", **FIRST_SPEC | {"domain": "new.fr"})
    operating.tell(operating.world.objects[Kind.DOMAIN][ResourceKey("default", "new-fr")], "ADDED")
    await operating.settle()
    assert admins(world, "new.fr") == 1
    assert operating.world.condition(Kind.DOMAIN, "new-fr") == ("True", "InSync")
    assert unlisted == []


async def test_a_domain_whose_deletion_the_watch_tells_of_is_managed_no_more(
    operating: Operating, world: MailWorld, unlisted: list[Kind]
) -> None:
    await town(operating, world, 3)
    unlisted.clear()
    operating.tell(operating.world.delete(Kind.DOMAIN, FIRST), "DELETED")
    operating.source.says = {email: frozenset() for email in operating.source.says if "00000" in email}
    await operating.wave()
    assert admins(world, "d00000.fr") == 2
    assert FIRST not in {item.key for item in operating.reign.listing.domains}


async def test_an_object_that_was_replaced_is_told_its_status_anew(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 3)
    operating.tell(operating.world.delete(Kind.DOMAIN, FIRST), "DELETED")
    operating.world.apply(Kind.DOMAIN, FIRST.name, **FIRST_SPEC)
    replaced = operating.world.objects[Kind.DOMAIN][FIRST]
    replaced["metadata"]["uid"] = "another"
    operating.tell(replaced, "ADDED")
    await operating.settle()
    assert operating.world.condition(Kind.DOMAIN, FIRST.name) == ("True", "InSync")


async def test_a_source_that_the_watch_tells_of_is_opened(operating: Operating, world: MailWorld) -> None:
    await town(operating, world, 1)
    operating.world.apply(Kind.SOURCE, "deploycenter", provider={"local": {}}, suspend=True)
    operating.tell(operating.world.objects[Kind.SOURCE][operating.source.key])
    await operating.settle()
    assert operating.desk.spec.suspend
    assert operating.world.condition(Kind.SOURCE, "deploycenter", "Reconciling") == ("False", "Suspended")


async def test_an_object_that_becomes_invalid_stalls_and_the_others_go_on(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 2)
    operating.world.apply(Kind.DOMAIN, FIRST.name, **FIRST_SPEC | {"mode": "Whatever"})
    operating.tell(operating.world.objects[Kind.DOMAIN][FIRST])
    await operating.settle()
    assert operating.world.condition(Kind.DOMAIN, FIRST.name, "Stalled") == ("True", "InvalidSpec")
    assert operating.world.condition(Kind.DOMAIN, "d00001-fr") == ("True", "InSync")


async def test_what_was_told_before_a_list_brings_nothing_back_that_the_list_has_not(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 3)
    operating.world.apply(Kind.DOMAIN, FIRST.name, **FIRST_SPEC, protectedAdmins=["dsi@x.fr"])
    operating.tell(operating.world.objects[Kind.DOMAIN][FIRST])
    # The watch is away when the object goes, and tells only that it was away.
    operating.world.delete(Kind.DOMAIN, FIRST)
    operating.reign.notice()
    await operating.settle()
    assert FIRST not in {item.key for item in operating.reign.listing.domains}


async def test_what_the_watch_lists_anew_and_nobody_knows_is_a_reason_to_list(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 2)
    operating.world.delete(Kind.DOMAIN, FIRST)
    operating.world.apply(Kind.DOMAIN, "other", **FIRST_SPEC | {"domain": "other.fr"})
    other = operating.world.objects[Kind.DOMAIN][ResourceKey("default", "other")]
    operating.reign.take({"type": None, "object": as_sent(other)})
    await operating.settle()
    assert {item.key.name for item in operating.reign.listing.domains} == {"d00001-fr", "other"}


async def test_an_approval_that_the_watch_tells_of_is_weighed_against_the_database_of_now(
    operating: Operating, world: MailWorld
) -> None:
    await town(operating, world, 3)
    operating.world.annotate(Kind.DOMAIN, FIRST, approve="whatever")
    operating.tell(operating.world.objects[Kind.DOMAIN][FIRST])
    with watched(operating.database) as statements:
        await operating.settle()
    assert looks_at_holds(statements)
