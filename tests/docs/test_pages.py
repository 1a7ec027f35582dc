"""Do the pages hold together? Links, anchors, fences, names of this project alone."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks, page

MADE_UP = re.compile(r"(^|\.)(example|example\.(com|org|net))$")
EMAIL = re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_link_within_the_project_leads_somewhere(path: Path) -> None:
    for link in page(path).links:
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{path.name}: {link}"
        assert not anchor or anchor in page(found).anchors, f"{path.name}: {link}"


def test_each_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in page(ROOT / "README.md").links}
    assert set(PAGES) - {ROOT / "README.md"} <= linked


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_e_mail_is_made_up(path: Path) -> None:
    for host in EMAIL.findall(path.read_text(encoding="utf-8")):
        assert MADE_UP.search(host), f"{path.name}: ...@{host}"


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_each_block_says_its_language(block: Block) -> None:
    assert block.language


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180
