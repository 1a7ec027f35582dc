"""What can be measured from outside? One registry, names that start with `maildomain_`, and no personal label.

docs/metrics.md says what each of them means. `source_namespace` and `source_name` name an EntitlementSource; no label
names a user or a domain.
"""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

SourceName = tuple[str, str]
"""Namespace and name of an EntitlementSource."""

_SOURCE = ("source_namespace", "source_name")
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The measurements of one process. A process that stands by has no gauges of the cases that another works on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self._clock = clock
        self._case_opened_at: float | None = None
        self._suspected_at: float | None = None
        self._hold_opened_at: float | None = None

        self._last_wave = Gauge(
            "maildomain_last_wave_timestamp_seconds", "End of the last complete wave.", _SOURCE, registry=registry
        )
        self._interval = Gauge(
            "maildomain_wave_interval_seconds", "How often a source is to have a wave.", _SOURCE, registry=registry
        )
        self._partial_since: dict[SourceName, float] = {}
        self._partial = Gauge(
            "maildomain_partial_age_seconds", "Since when each wave had Partial answers.", _SOURCE, registry=registry
        )
        self._radius = [
            Gauge("maildomain_blast_radius_accesses", "Accesses that [] would cost now.", _SOURCE, registry=registry),
            Gauge("maildomain_blast_radius_domains", "Domains left without any.", _SOURCE, registry=registry),
            Gauge("maildomain_blast_radius_stopped_after", "How many limits let go.", _SOURCE, registry=registry),
        ]
        self._answers = Counter("maildomain_answers", "Answers by type.", (*_SOURCE, "type"), registry=registry)
        self._source_requests = Counter(
            "maildomain_source_requests", "HTTP requests to a source.", _SOURCE, registry=registry
        )
        self._open_cases = Gauge("maildomain_open_cases", "Revocations that are not carried out.", registry=registry)
        self._oldest_case = Gauge("maildomain_oldest_case_age_seconds", "Age of the oldest case.", registry=registry)
        self._oldest_case.set_function(lambda: self._age(self._case_opened_at))
        self._oldest_unconfirmed = Gauge(
            "maildomain_oldest_unconfirmed_age_seconds", "Age of the oldest suspicion.", registry=registry
        )
        self._oldest_unconfirmed.set_function(lambda: self._age(self._suspected_at))
        self._held = Gauge("maildomain_held_accesses", "Changes that wait for an approval.", registry=registry)
        self._holds = Gauge("maildomain_holds", "Holds that wait for an approval.", registry=registry)
        self._oldest_hold = Gauge("maildomain_oldest_hold_age_seconds", "Age of the oldest hold.", registry=registry)
        self._oldest_hold.set_function(lambda: self._age(self._hold_opened_at))
        self._pending = Gauge("maildomain_pending", "Names that have no row to point at yet.", registry=registry)
        self._contested = Gauge("maildomain_contested", "Accesses left to another writer.", registry=registry)
        self._passes = Counter("maildomain_passes", "Passes by outcome.", ("outcome",), registry=registry)
        self._streak = Gauge("maildomain_failures_in_a_row", "Turns that failed since one did not.", registry=registry)
        self._pass_seconds = Histogram(
            "maildomain_pass_duration_seconds", "Duration of whole passes.", buckets=_SECONDS, registry=registry
        )
        self._writes = Counter("maildomain_writes", "Accesses written, by kind.", ("kind",), registry=registry)
        self._status_patches = Counter(
            "maildomain_status_patches", "Statuses written, by kind.", ("kind",), registry=registry
        )
        self._cluster_requests = Counter(
            "maildomain_cluster_requests", "Requests to the API server.", ("verb", "outcome"), registry=registry
        )
        self._served = Counter(
            "maildomain_api_requests", "Requests to the API, by answer.", ("path", "status"), registry=registry
        )
        self._provisioned = Counter(
            "maildomain_provisioned_names", "Names of provisioning requests.", ("outcome",), registry=registry
        )
        self._hints = Counter("maildomain_hints", "Hints of DeployCenter.", ("outcome",), registry=registry)
        self._epoch = Gauge("maildomain_epoch", "Epoch of the lease.", registry=registry)
        self._leading = Gauge("maildomain_leading", "1 while this replica works.", registry=registry)
        self._frozen = Gauge("maildomain_frozen", "1 while everything is frozen.", registry=registry)

    def text(self) -> bytes:
        """Everything, in the text format of Prometheus (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def answered(self, source: SourceName, verdict: str, requests: int = 1) -> None:
        """A source has answered about one user; it took so many requests."""
        self._answers.labels(*source, verdict).inc()
        self._source_requests.labels(*source).inc(requests)

    def expect(self, source: SourceName, interval: float) -> None:
        """A source is to have a wave each `interval` seconds."""
        self._interval.labels(*source).set(interval)

    def wave_finished(self, source: SourceName, at_unix: float, *, partial: int = 0) -> None:
        """A wave in which everybody was asked, and at most half failed, has ended, with so many Partial answers."""
        self._last_wave.labels(*source).set(at_unix)
        if partial:
            self._partial_since.setdefault(source, at_unix)
        else:
            self._partial_since.pop(source, None)
        self._partial.labels(*source).set_function(lambda: self._age(self._partial_since.get(source)))

    def wave_remembered(self, source: SourceName, at_unix: float) -> None:
        """Another term has had its last complete wave then: its age goes on growing over restarts."""
        self._last_wave.labels(*source).set(at_unix)

    def could_lose(self, source: SourceName, *, accesses: int, domains: int, stopped_after: int) -> None:
        """What a source could take away by saying `[]` for everybody now."""
        for gauge, value in zip(self._radius, (accesses, domains, stopped_after), strict=True):
            gauge.labels(*source).set(value)

    def forget(self, source: SourceName) -> None:
        """A source is gone or suspended: the age of its last wave alarms nobody any more."""
        self._partial_since.pop(source, None)
        for gauge in (self._last_wave, self._interval, self._partial, *self._radius):
            gauge.remove(*source)

    def failed(self, in_a_row: int) -> None:
        """So many turns have failed one after the other; 0 = the last one did not."""
        self._streak.set(in_a_row)

    def passed(self, outcome: str, seconds: float) -> None:
        """A pass has ended; `seconds` is 0 when it did not get to its end."""
        self._passes.labels(outcome).inc()
        if seconds > 0:
            self._pass_seconds.observe(seconds)

    def wrote(self, *, grants: int, revocations: int, adoptions: int) -> None:
        """A transaction was committed."""
        for kind, count in (("grant", grants), ("revocation", revocations), ("adoption", adoptions)):
            self._writes.labels(kind).inc(count)

    def patched(self, kind: str) -> None:
        """The status of one object was written; `kind` is its plural name."""
        self._status_patches.labels(kind).inc()

    def requested(self, verb: str, outcome: str) -> None:
        """The API server was asked: `ok`, the HTTP status of its refusal, or `none` when it did not answer."""
        self._cluster_requests.labels(verb, outcome).inc()

    def served(self, path: str, status: str) -> None:
        """The API has answered."""
        self._served.labels(path, status).inc()

    def provisioned(self, outcome: str) -> None:
        """Something became of a name that was to be declared."""
        self._provisioned.labels(outcome).inc()

    def hinted(self, outcome: str, count: int) -> None:
        """Hints were `noted`, were `dropped` because too many wait, or were `followed` by the operator."""
        self._hints.labels(outcome).inc(count)

    def gauges(
        self,
        *,
        leading: bool,
        frozen: bool = False,
        epoch: int = 0,
        open_cases: int = 0,
        oldest_case_seconds: float = 0.0,
        unconfirmed: int = 0,
        oldest_unconfirmed_seconds: float = 0.0,
        held: int = 0,
        pending: int = 0,
        contested: int = 0,
        holds: int = 0,
        oldest_hold_seconds: float = 0.0,
    ) -> None:
        """How things stand after a pass, or nothing but `leading=False`. Ages go on growing until the next call."""
        now = self._clock()
        self._leading.set(leading)
        self._frozen.set(frozen)
        self._epoch.set(epoch)
        self._open_cases.set(open_cases)
        self._case_opened_at = now - oldest_case_seconds if open_cases else None
        self._suspected_at = now - oldest_unconfirmed_seconds if unconfirmed else None
        self._held.set(held)
        self._pending.set(pending)
        self._contested.set(contested)
        self._holds.set(holds)
        self._hold_opened_at = now - oldest_hold_seconds if holds else None
        if not leading:
            self._partial_since.clear()
            for gauge in (self._last_wave, self._interval, self._partial):
                gauge.clear()

    def _age(self, since: float | None) -> float:
        return 0.0 if since is None else max(0.0, self._clock() - since)
