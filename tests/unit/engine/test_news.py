"""Which events are news, and when is a watch deaf?"""

from typing import Any

import pytest

from controller.engine.news import DEAF_AFTER, Mark, News, Tells, mark_of


def event(kind: str | None = "MODIFIED", *, generation: int = 1, uid: str = "u", **more: Any) -> dict[str, Any]:
    annotations = {"annotations": more.pop("annotations")} if "annotations" in more else {}
    return {"type": kind, "object": {"metadata": {"uid": uid, "generation": generation, **annotations}, **more}}


@pytest.fixture
def news() -> News:
    """One object is known."""
    news = News()
    news.takes(event("ADDED"))
    return news


def test_a_new_object_is_news(news: News) -> None:
    assert news.takes(event("ADDED", uid="another")) is Tells.CHANGE


def test_a_changed_spec_is_news_once(news: News) -> None:
    assert news.takes(event(generation=2)) is Tells.CHANGE
    assert news.takes(event(generation=2)) is Tells.NOTHING


def test_an_annotation_is_news(news: News) -> None:
    assert news.takes(event(annotations={"maildomain.dev/approve": "h1"})) is Tells.CHANGE
    assert news.takes(event(annotations={"maildomain.dev/approve": "h2"})) is Tells.CHANGE
    assert news.takes(event(annotations={})) is Tells.CHANGE


def test_a_status_is_no_news(news: News) -> None:
    assert news.takes(event(status={"observedGeneration": 1})) is Tells.NOTHING


def test_a_deletion_is_news(news: News) -> None:
    assert news.takes(event("DELETED")) is Tells.CHANGE


def test_an_object_that_comes_back_is_news(news: News) -> None:
    news.takes(event("DELETED"))
    assert news.takes(event("ADDED")) is Tells.CHANGE


def test_a_list_after_a_gap_is_news_because_something_may_be_missing_in_it(news: News) -> None:
    assert news.takes(event(None)) is Tells.GAP


def test_the_first_list_of_the_watch_tells_of_each_object(news: News) -> None:
    assert news.takes(event(None, uid="another")) is Tells.CHANGE


# --- does it tell everything? ---

THERE = {"u": mark_of({"generation": 1})}
CHANGED = {"u": mark_of({"generation": 2})}
NEW = {"another": mark_of({"generation": 1})}


def test_a_watch_that_has_told_what_lists_show_is_not_deaf(news: News) -> None:
    for now in (0.0, DEAF_AFTER, 10 * DEAF_AFTER):
        news.listed(THERE, now)
    assert not news.owed
    assert not news.deaf


@pytest.mark.parametrize("shown", [CHANGED, NEW])
def test_a_watch_that_keeps_silent_about_what_two_lists_show_is_deaf(news: News, shown: dict[str, Mark]) -> None:
    news.listed(shown, 0.0)
    assert news.owed
    news.listed(shown, DEAF_AFTER - 1)
    assert not news.deaf
    news.listed(shown, DEAF_AFTER)
    assert news.deaf


def test_a_watch_that_tells_of_the_object_later_is_not_deaf(news: News) -> None:
    news.listed(CHANGED, 0.0)
    news.takes(event(generation=3))
    assert not news.owed
    news.listed(CHANGED, DEAF_AFTER)
    assert not news.deaf, "the list was the older one"
    news.listed({"u": mark_of({"generation": 3})}, 2 * DEAF_AFTER)
    assert not news.deaf


def test_one_list_proves_nothing_however_late_it_comes(news: News) -> None:
    news.listed(CHANGED, 1000 * DEAF_AFTER)
    assert not news.deaf


def test_an_api_server_that_was_away_excuses_the_watch(news: News) -> None:
    news.listed(CHANGED, 0.0)
    news.excuse()
    news.listed(CHANGED, DEAF_AFTER)
    assert not news.deaf
    news.listed(CHANGED, 2 * DEAF_AFTER)
    assert news.deaf


def test_a_deletion_that_was_missed_is_no_proof(news: News) -> None:
    news.listed({}, 0.0)
    news.listed({}, DEAF_AFTER)
    assert not news.deaf
