"""Is what is measured documented, and does it name nobody?"""

import re
from pathlib import Path

import pytest

from controller.observability.metrics import Metrics

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
SOURCE = ("platform", "deploycenter")
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>\w+) \|(?P<labels>[^|]*)\| (?P<meaning>.+) \|$", re.MULTILINE)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    """Every method was called once."""
    metrics = Metrics(clock)
    metrics.answered(SOURCE, "Entitled", requests=2)
    metrics.expect(SOURCE, 600.0)
    metrics.wave_finished(SOURCE, 5.0)
    metrics.could_lose(SOURCE, accesses=8, domains=4, stopped_after=2)
    metrics.failed(2)
    metrics.passed("wrote", 0.3)
    metrics.wrote(grants=3, revocations=1, adoptions=0)
    metrics.patched("maildomains")
    metrics.requested("list", "ok")
    metrics.served("/api/", "200")
    metrics.provisioned("created")
    metrics.hinted("noted", 2)
    metrics.gauges(leading=True, epoch=7, open_cases=2, oldest_case_seconds=60.0, held=4, pending=5, holds=1)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"maildomain_{name}", labels)


def test_the_table_of_the_document_is_the_registry(metrics: Metrics) -> None:
    documented = {
        (row["name"], row["type"], tuple(re.findall(r"`(\w+)`", row["labels"])))
        for row in ROW.finditer(DOCUMENT.read_text(encoding="utf-8"))
    }
    registered = {
        (
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            tuple(label for label in family.samples[0].labels if label != "le"),
        )
        for family in metrics.registry.collect()
        if not family.name.endswith("_created")
    }
    assert documented == registered


def test_no_label_can_hold_personal_data(metrics: Metrics) -> None:
    labels = {label for family in metrics.registry.collect() for sample in family.samples for label in sample.labels}
    assert labels == {"source_namespace", "source_name", "type", "outcome", "kind", "verb", "path", "status", "le"}


def test_what_is_counted_is_exported(metrics: Metrics) -> None:
    source = {"source_namespace": "platform", "source_name": "deploycenter"}
    assert value(metrics, "answers_total", **source, type="Entitled") == 1
    assert value(metrics, "source_requests_total", **source) == 2
    assert value(metrics, "last_wave_timestamp_seconds", **source) == 5
    assert value(metrics, "writes_total", kind="grant") == 3
    assert value(metrics, "cluster_requests_total", verb="list", outcome="ok") == 1
    assert value(metrics, "leading") == 1
    assert value(metrics, "epoch") == 7
    assert value(metrics, "held_accesses") == 4


def test_ages_grow_while_no_pass_runs(metrics: Metrics, clock: Clock) -> None:
    clock.now += 30
    assert value(metrics, "oldest_case_age_seconds") == 90
    assert value(metrics, "oldest_hold_age_seconds") == 30


def test_without_cases_there_is_no_age(metrics: Metrics, clock: Clock) -> None:
    metrics.gauges(leading=True, epoch=7)
    clock.now += 30
    assert value(metrics, "oldest_case_age_seconds") == 0
    assert value(metrics, "oldest_hold_age_seconds") == 0


def test_a_pass_without_a_duration_is_counted_and_not_timed(metrics: Metrics) -> None:
    metrics.passed("failed", 0.0)
    assert value(metrics, "passes_total", outcome="failed") == 1
    assert value(metrics, "pass_duration_seconds_count") == 1


def test_a_source_that_is_gone_alarms_nobody(metrics: Metrics) -> None:
    metrics.forget(("platform", "never-finished-a-wave"))
    metrics.forget(SOURCE)
    assert not of_a_source(metrics)


def of_a_source(metrics: Metrics) -> set[str]:
    """The gauges that alarm about a source."""
    named = {"last_wave_timestamp_seconds", "wave_interval_seconds", "partial_age_seconds"}
    return {name for name in named if f"maildomain_{name}{{" in metrics.text().decode()}


def test_partial_answers_age_from_the_first_wave_that_had_some_to_the_first_that_had_none(
    metrics: Metrics, clock: Clock
) -> None:
    source = {"source_namespace": "platform", "source_name": "deploycenter"}
    metrics.wave_finished(SOURCE, clock.now, partial=2)
    clock.now += 600
    metrics.wave_finished(SOURCE, clock.now, partial=1)
    assert value(metrics, "partial_age_seconds", **source) == 600
    metrics.wave_finished(SOURCE, clock.now)
    clock.now += 600
    assert value(metrics, "partial_age_seconds", **source) == 0


def test_a_suspicion_ages_apart_from_other_cases(metrics: Metrics, clock: Clock) -> None:
    metrics.gauges(leading=True, open_cases=2, oldest_case_seconds=60, unconfirmed=1, oldest_unconfirmed_seconds=5)
    clock.now += 1
    assert value(metrics, "oldest_unconfirmed_age_seconds") == 6
    metrics.gauges(leading=True, open_cases=1, oldest_case_seconds=60)
    assert value(metrics, "oldest_unconfirmed_age_seconds") == 0


def test_a_replica_that_stands_by_has_no_waves_and_no_cases(metrics: Metrics) -> None:
    metrics.gauges(leading=False)
    assert not of_a_source(metrics)
    assert value(metrics, "leading") == 0
    assert value(metrics, "open_cases") == 0
    assert value(metrics, "oldest_case_age_seconds") == 0
