"""Does the table of faults tell of each fault that the tests show, and of no other?"""

import re

from tests.docs.pages import ROOT
from tests.support.faults import TABLE, Fault


def test_the_page_tells_of_each_fault_in_order() -> None:
    assert TABLE.told() == list(Fault)


def test_each_fault_is_shown_by_a_test() -> None:
    code = (ROOT / "tests" / "e2e" / "test_faults.py").read_text(encoding="utf-8")
    assert set(re.findall(r"Fault\.([A-Z_]+)", code)) == {fault.name for fault in Fault}
