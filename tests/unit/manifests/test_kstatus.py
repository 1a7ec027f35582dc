"""What do Flux and others that use kstatus make of our objects? Asked of the library, about the golden objects."""

import subprocess
from pathlib import Path

import pytest

from tests.support.situations import GOLDEN

EXPECTED = {
    "MailDomain": {
        "unseen": "InProgress",
        "in-sync": "Current",
        "observed": "Current",
        "grant-only": "Current",
        "suspected": "InProgress",
        "held": "InProgress",
        "missing": "InProgress",
        "source-not-found": "InProgress",
        "ambiguous": "Failed",
        "alias": "Failed",
        "not-authorised": "Failed",
        "claim-conflict": "Failed",
        "foreign-owner": "Failed",
        "schema-unknown": "Failed",
        "not-migrated": "Failed",
        "invalid-spec": "Failed",
        "gathering": "InProgress",
        "stale": "InProgress",
        "database-away": "InProgress",
        "suspended": "InProgress",
        "frozen": "InProgress",
        "people": "Current",
        "rows-removed": "Current",
        "withdrawn": "Current",
        "contested": "InProgress",
        "non-convergent": "Failed",
        "suspected-after-in-sync": "InProgress",
        "gathering-after-in-sync": "InProgress",
        "suspended-after-in-sync": "Current",
        "frozen-after-in-sync": "Current",
        "edited": "InProgress",
    },
    "EntitlementSource": {
        "unseen": "InProgress",
        "answering": "Current",
        "down": "InProgress",
        "key-refused": "InProgress",
        "circuit-open": "InProgress",
        "secret-missing": "InProgress",
        "pivot-closed": "InProgress",
        "held": "InProgress",
        "gathering": "InProgress",
        "stale": "InProgress",
        "database-away": "InProgress",
        "suspended": "InProgress",
        "not-a-source-namespace": "Failed",
        "schema-unknown": "Failed",
        "not-migrated": "Failed",
        "invalid-spec": "Failed",
        "gathering-after-answering": "InProgress",
        "frozen": "Current",
        "suspended-after-answering": "Current",
        "edited": "InProgress",
    },
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_situation_is_what_a_pipeline_should_wait_for_or_fail_at(kstatus: Path, kind: str) -> None:
    objects = (GOLDEN / f"{kind}.yaml").read_text(encoding="utf-8")
    lines = subprocess.run([kstatus], input=objects, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {name.removeprefix(f"{kind}/"): status for status, name in map(str.split, lines)}
    assert found == EXPECTED[kind]
