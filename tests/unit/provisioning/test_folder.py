"""Are files as good as a cluster?"""

from pathlib import Path
from typing import Any

import pytest

from controller.provisioning.declaring import Declaring, Outcome, Trouble
from controller.provisioning.folder import FolderStore
from controller.provisioning.wanted import Wanted
from controller.resources.documents import Document, parse_documents
from controller.resources.maildomain import MailDomain
from controller.resources.names import DomainName
from tests.support.provisioning import TEMPLATE

X = DomainName("x.fr")
OTHER = """\
apiVersion: maildomain.dev/v1alpha1
kind: MailDomain
metadata: {name: by-hand}
spec: {domain: y.fr, mode: Enforce, sourceRefs: [{name: a}]}
"""


@pytest.fixture
def declaring(tmp_path: Path) -> Declaring:
    return Declaring(FolderStore(tmp_path), TEMPLATE)


def wanted(**fields: Any) -> Wanted:
    return Wanted(domains=["x.fr"], **fields)


def declared(folder: Path) -> list[MailDomain]:
    files = sorted(folder.glob("*.yaml"))
    return list(parse_documents([Document(file.name, file.read_text(encoding="utf-8")) for file in files]).domains)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_name_becomes_a_file_that_validates(declaring: Declaring, tmp_path: Path) -> None:
    assert await declaring.declare(X, wanted(oidc_autojoin=True)) is Outcome.CREATED
    assert await declaring.declare(X, wanted(identity_sync=False)) is Outcome.EXISTING

    [domain] = declared(tmp_path)
    assert (domain.domain, domain.metadata.name, domain.metadata.namespace) == ("x.fr", "x.fr", "communes")
    assert (domain.spec.provisioning.oidc_autojoin, domain.spec.provisioning.identity_sync) == (True, False)
    assert files(tmp_path) == ["x.fr.yaml"], "nothing half-written is left"


async def test_what_stands_in_another_file_is_found_and_never_written(declaring: Declaring, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    other = tmp_path / "sub" / "others.yaml"
    other.write_text(OTHER, encoding="utf-8")
    y = DomainName("y.fr")

    assert await declaring.declare(y, wanted()) is Outcome.EXISTING
    assert await declaring.declare(y, wanted(oidc_autojoin=True)) is Trouble.ELSEWHERE
    assert other.read_text(encoding="utf-8") == OTHER
    other.unlink()
    await declaring.expect([y])
    assert await declaring.declare(y, wanted()) is Outcome.CREATED


async def test_what_people_wrote_into_our_file_stays(declaring: Declaring, tmp_path: Path) -> None:
    await declaring.declare(X, wanted())
    file = tmp_path / "x.fr.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("Observe", "Enforce"), encoding="utf-8")

    await declaring.declare(X, wanted(oidc_autojoin=True))

    assert declared(tmp_path)[0].spec.mode == "Enforce"


async def test_a_file_that_nobody_can_read_stops_no_name(declaring: Declaring, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [", encoding="utf-8")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")

    assert await declaring.declare(X, wanted()) is Outcome.CREATED


async def test_a_folder_that_can_not_be_written_is_said_and_no_error(declaring: Declaring, tmp_path: Path) -> None:
    (tmp_path / "x.fr.yaml").mkdir()

    assert await declaring.declare(X, wanted()) is Trouble.NOT_NOW


async def test_other_files_are_looked_through_once_for_many_names(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, clock=lambda: 0.0)
    (tmp_path / "others.yaml").write_text(OTHER, encoding="utf-8")
    await store.prepare([X])
    (tmp_path / "others.yaml").unlink()

    found = await store.find(DomainName("y.fr"))
    assert found is not None
    assert found.ours is None


async def test_the_longest_names_have_files_too(declaring: Declaring, tmp_path: Path) -> None:
    stem = ".".join(["a" * 63, "b" * 63, "c" * 63])
    names = [DomainName(f"{stem}.{'d' * 57}.{end}") for end in ("aa", "bb")]

    for name in names:
        assert await declaring.declare(name, wanted()) is Outcome.CREATED
        assert await declaring.declare(name, wanted()) is Outcome.EXISTING
    assert sorted(domain.domain for domain in declared(tmp_path)) == sorted(names)
