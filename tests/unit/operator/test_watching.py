"""Which events are news, and what does the end of a watch mean?"""

import re
from typing import Any

import kopf
import pytest

from controller.errors import ClusterUnavailable, ControllerError, NotAuthorized
from controller.operator.watching import News, explained


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
    assert news.takes(event("ADDED", uid="another"))


def test_a_changed_spec_is_news_once(news: News) -> None:
    assert news.takes(event(generation=2))
    assert not news.takes(event(generation=2))


def test_an_annotation_is_news(news: News) -> None:
    assert news.takes(event(annotations={"maildomain.dev/approve": "h1"}))
    assert news.takes(event(annotations={"maildomain.dev/approve": "h2"}))
    assert news.takes(event(annotations={}))


def test_a_status_is_no_news(news: News) -> None:
    assert not news.takes(event(status={"observedGeneration": 1}))


def test_a_deletion_is_news(news: News) -> None:
    assert news.takes(event("DELETED"))


def test_an_object_that_comes_back_is_news(news: News) -> None:
    news.takes(event("DELETED"))
    assert news.takes(event("ADDED"))


def test_a_whole_list_is_news_because_something_may_be_missing_in_it(news: News) -> None:
    assert news.takes(event(None))


class ApiError(Exception):
    """As kopf's: the status is an attribute, the server's text the message."""

    def __init__(self, status: int) -> None:
        super().__init__("secret text")
        self.status = status


@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        (ApiError(401), NotAuthorized, "does not accept our credentials"),
        (ApiError(403), NotAuthorized, "may not list and watch .*: apply the RBAC of manifests/"),
        (ApiError(404), ClusterUnavailable, "does not know .*maildomains.maildomain.dev: apply crds/ first"),
        (ApiError(500), ClusterUnavailable, r"has ended \(500\)"),
        (kopf.LoginError("secret text"), NotAuthorized, "does not accept our credentials"),
        (RuntimeError("secret text"), ClusterUnavailable, r"has ended \(RuntimeError\)"),
    ],
)
def test_the_end_of_a_watch_says_what_to_do(error: Exception, becomes: type[ControllerError], says: str) -> None:
    told = explained(error)
    assert type(told) is becomes
    assert re.search(says, str(told))
    assert "secret text" not in str(told)
