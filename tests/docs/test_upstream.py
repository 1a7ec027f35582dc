"""Does docs/upstream.md tell the truth? Each test that it names exists, and each case says what became of it."""

import re

import pytest

from tests.docs.pages import ROOT, page

PAGE = page(ROOT / "docs" / "upstream.md")
SECTIONS = re.findall(r"^## (.+)$", PAGE.path.read_text(encoding="utf-8"), re.MULTILINE)
NAMED = sorted({code for code in PAGE.codes if "::" in code})
OWN = ("upstream/test_login_sync.py", "upstream/test_backends.py", "upstream/test_deploycenter.py")


@pytest.mark.parametrize("section", SECTIONS)
def test_each_case_says_what_became_of_it(section: str) -> None:
    rows = PAGE.table(section)
    assert rows
    for case, here, test, remark in rows:
        assert here in ("same", "different", "out of scope"), case
        assert (test == "") == (here == "out of scope"), case
        assert remark or here == "same", case


def functions_of(path: str) -> set[str]:
    code = (ROOT / "tests" / path).read_text(encoding="utf-8")
    return {f"{path}::{function}" for function in re.findall(r"^(?:async )?def (test_\w+)\(", code, re.MULTILINE)}


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_is_named_exists(name: str) -> None:
    assert name in functions_of(name.partition("::")[0])


@pytest.mark.parametrize("path", OWN)
def test_each_test_of_these_cases_is_named(path: str) -> None:
    assert functions_of(path) <= set(NAMED)
