"""The document of plan and result: its shape to the letter, its order, its digest, and nobody's e-mail in it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from controller.cli.document import schema, to_json
from controller.cli.report import report
from tests.support.planning import PlanningWorld
from tests.support.plans import planned

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "plan.json"
AT_ONCE: dict[str, Any] = {"confirm_after": timedelta(0)}


def town() -> PlanningWorld:
    """One grant, one revocation, one held removal, one observed difference, one row to adopt."""
    world = PlanningWorld()
    world.domain("z.fr", metadata={"name": "a-first"})
    world.domain("b.fr")
    world.domain("held.fr", limits={"minAdmins": 1})
    world.domain("seen.fr", mode="Observe")
    for number in range(12):
        world.domain(f"quiet{number}.fr")
        world.user(f"q{number}@x.fr")
        world.admin(f"q{number}", f"quiet{number}.fr")
        world.says(f"q{number}", f"quiet{number}.fr")
    for name in ("zoe", "ann", "bob", "eve", "ida"):
        world.user(f"{name}@commune.fr")
    world.admin("bob", "b.fr")
    world.admin("eve", "held.fr")
    world.admin("ida", "z.fr", owned=False)
    world.says("zoe", "z.fr")
    world.says("ann", "z.fr", "seen.fr")
    world.says("bob")
    world.says("eve")
    world.says("ida", "z.fr", "nowhere.fr")
    return world


def shown(world: PlanningWorld, *, applied: bool = False, pii: bool = False) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_json(report(planned(world, applied=applied, **AT_ONCE), show_pii=pii)))
    return document


def test_the_document_has_the_documented_fields_in_their_order() -> None:
    document = shown(town())
    assert list(document) == ["apiVersion", "kind", "digest", "counts", "domains", "holds", "sources"]
    assert (document["apiVersion"], document["kind"]) == ("maildomain.dev/v1alpha1", "Plan")
    counts = ["domains", "grants", "revocations", "adoptions", "held", "pending", "ambiguous"]
    assert list(document["counts"]) == counts
    domain = document["domains"][0]
    assert list(domain) == [
        "namespace",
        "name",
        "domain",
        "mode",
        "conditions",
        "grants",
        "revocations",
        "held",
        "suppressed",
        "adoptions",
        "pending",
        "ambiguous",
    ]
    assert list(domain["conditions"][0]) == ["type", "status", "reason", "message"]
    assert domain["grants"] == [{"user": "ann", "reason": "Entitled"}, {"user": "zoe", "reason": "Entitled"}]
    assert list(document["holds"][0]) == ["id", "scope", "limit", "count"]
    source = document["sources"][0]
    assert list(source) == ["namespace", "name", "users", "requests"]
    assert list(source["users"]) == ["asked", "entitled", "partial", "unknown", "malformed", "unavailable"]


def test_the_document_says_what_is_done_held_and_left() -> None:
    document = shown(town())
    domains = {domain["domain"]: domain for domain in document["domains"]}
    assert domains["b.fr"]["revocations"] == [{"user": "bob", "reason": "NotEntitled"}]
    [hold] = document["holds"]
    assert hold["scope"] == "MailDomain default/held-fr"
    assert (hold["limit"], hold["count"]) == ("minAdmins 1", 1)
    assert domains["held.fr"]["held"] == [{"user": "eve", "reason": "NotEntitled", "hold": hold["id"]}]
    assert domains["seen.fr"]["suppressed"] == {"grants": 1, "revocations": 0}
    assert domains["seen.fr"]["grants"] == []
    assert domains["z.fr"]["adoptions"] == 1
    counts = document["counts"]
    assert (counts["domains"], counts["grants"], counts["revocations"]) == (16, 2, 1)
    assert (counts["adoptions"], counts["held"]) == (1, 1)


def test_a_result_says_what_was_written_and_is_in_sync() -> None:
    document = shown(town(), applied=True)
    assert list(document)[-1] == "applied"
    assert document["kind"] == "Result"
    assert document["applied"] == {"grants": 2, "revocations": 1, "adoptions": 1}
    ready = {domain["domain"]: domain["conditions"][0] for domain in document["domains"]}
    assert ready["z.fr"] == {
        "type": "Ready",
        "status": "True",
        "reason": "InSync",
        "message": "The administrators are what the sources say.",
    }
    assert ready["held.fr"]["reason"] == "RevocationsHeld"


def test_domains_and_users_stand_in_a_stable_order() -> None:
    document = shown(town())
    places = [(domain["namespace"], domain["name"]) for domain in document["domains"]]
    assert places == sorted(places)
    turned = town()
    turned.declared.reverse()
    assert shown(turned) == document


@pytest.mark.parametrize("options", [{}, {"applied": True}, {"pii": True}, {"applied": True, "pii": True}])
def test_the_output_matches_its_published_schema(options: dict[str, bool]) -> None:
    jsonschema.validate(shown(town(), **options), json.loads(SCHEMA.read_text()))


def test_the_schema_refuses_what_is_not_documented() -> None:
    published = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    document = shown(town())
    assert not published.is_valid(document | {"more": 1})
    assert not published.is_valid(document | {"kind": "Result"})
    assert not published.is_valid(document | {"applied": {"grants": 0, "revocations": 0, "adoptions": 0}})


def test_the_published_schema_is_that_of_the_models() -> None:
    assert json.loads(SCHEMA.read_text()) == schema()


def test_no_email_without_show_pii() -> None:
    assert "@" not in json.dumps(shown(town()))


def test_show_pii_adds_the_email_to_each_change() -> None:
    domains = {domain["domain"]: domain for domain in shown(town(), pii=True)["domains"]}
    assert domains["b.fr"]["revocations"] == [{"user": "bob", "reason": "NotEntitled", "email": "bob@commune.fr"}]
    assert domains["held.fr"]["held"][0]["email"] == "eve@commune.fr"
    assert domains["z.fr"]["grants"][1]["email"] == "zoe@commune.fr"


def test_the_digest_is_of_the_changes_alone() -> None:
    world = town()
    first = shown(world)["digest"]
    world.repeat(seconds=600)
    assert shown(world)["digest"] == first
    assert shown(world, applied=True)["digest"] == first
    assert shown(world, pii=True)["digest"] == first
    world.says("ann")
    assert shown(world)["digest"] != first
