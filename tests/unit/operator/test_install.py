"""Which settings may the operator start with?"""

from pathlib import Path

import pytest

from controller.errors import DatabaseUnavailable, InvalidInput
from controller.operator.install import read_install
from controller.planning.features import Features
from controller.settings import Settings


def settings(**given: object) -> Settings:
    """Settings that `run` can start with, but for what is given."""
    complete = {
        "owner": "maildomain-controller",
        "database_url": "postgresql://u:p4ss@host/mail",
        "database_url_file": None,
        "namespaces": (),
        "source_namespaces": (),
        "pod_namespace": "maildomain-system",
        "health_port": 0,
        "log_format": "text",
        "log_level": "INFO",
    }
    return Settings.model_validate(complete | given)


def test_an_install_knows_whose_rows_and_which_database() -> None:
    install = read_install(settings())
    assert install.owner == "maildomain-controller"
    assert install.url() == "postgresql://u:p4ss@host/mail"
    assert "p4ss" not in repr(install)


def test_sources_are_honoured_in_the_own_namespace_unless_others_are_named() -> None:
    assert read_install(settings()).source_namespaces == {"maildomain-system"}
    assert read_install(settings(source_namespaces=("platform",))).source_namespaces == {"platform"}


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("manage", [True, False])
def test_flags_are_those_of_the_process(*, create: bool, manage: bool) -> None:
    flags = {"feature_maildomain_create": create, "feature_maildomain_manage_accesses": manage}
    assert read_install(settings(**flags)).features == Features(create, manage)


def test_without_namespaces_the_whole_cluster_is_watched() -> None:
    assert read_install(settings()).watched == frozenset()
    assert read_install(settings(namespaces=("communes",))).watched == {"communes", "maildomain-system"}


def test_the_file_of_the_url_is_read_again_at_each_connect(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:old@host/mail\n")
    install = read_install(settings(database_url=None, database_url_file=file))
    file.write_text("postgresql://u:new@host/mail\n")
    assert install.url() == "postgresql://u:new@host/mail"
    file.unlink()
    with pytest.raises(DatabaseUnavailable):
        install.url()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"owner": None}, "MDC_OWNER: is not set"),
        ({"database_url": None}, "MDC_DATABASE_URL: names no mail database"),
        ({"database_url": None, "database_url_file": Path("/nowhere/url")}, "MDC_DATABASE_URL_FILE: names no file"),
        ({"database_url": "mysql://u:p4ss@host/mail"}, "database URL: is the URL of another kind of database"),
        ({"pod_namespace": ""}, "MDC_SOURCE_NAMESPACES: is not set"),
        ({"namespaces": ("team-*",)}, "MDC_NAMESPACES: holds what is no name of a namespace"),
        ({"source_namespaces": ("Platform",)}, "MDC_SOURCE_NAMESPACES: holds what is no name of a namespace"),
        ({"pod_namespace": "a.b"}, "POD_NAMESPACE: holds what is no name of a namespace"),
    ],
)
def test_what_is_missing_or_wrong_is_named(given: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read_install(settings(**given))
    assert says in str(raised.value)
    assert "p4ss" not in str(raised.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as raised:
        read_install(settings(owner=None, database_url=None, pod_namespace=""))
    assert len(raised.value.problems) == 3
