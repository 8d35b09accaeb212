"""The program's metrics, by the names that alerts and dashboards hold on to.

No label ever carries a recording's id, a URL or a name that a caller chose: every distinct value costs memory for ever.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.registry import Collector

from archiver.domain.recording import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from prometheus_client.metrics_core import Metric

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_LATENESS = (1, 5, 15, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 30 * 86400)
_LABEL = re.compile(r"[a-z][a-z_-]{0,39}|[1-5][0-9]{2}")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def _label(value: str | int) -> str:
    """A label from a small set: a word or an HTTP status; anything else (an id that slipped in) becomes `other`."""
    text = str(value)
    return text if _LABEL.fullmatch(text) else "other"


class _WithoutCreated(Collector):
    """The registry without `_created` series, which the library offers to leave out only for the whole process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class Metrics:
    """All metrics of one program, in a registry of their own."""

    def __init__(self, *, version: str, sources: Iterable[str] = ()) -> None:
        registry = CollectorRegistry()
        self._registry = registry

        def gauge(name: str, says: str, *labels: str) -> Gauge:
            return Gauge(f"archiver_{name}", says, labels, registry=registry)

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"archiver_{name}", says, labels, registry=registry)

        def histogram(name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"archiver_{name}", says, buckets=buckets, registry=registry)

        self._recordings = gauge("recordings", "Renditions by archive state.", "source", "state")
        self._oldest = gauge(
            "oldest_unarchived_seconds", "Age of the oldest rendition that should be archived and is not.", "source"
        )
        self._pass = gauge(
            "last_complete_pass_timestamp_seconds", "When a pass over a source's window was last complete.", "source"
        )
        self._transfers = counter("transfers_total", "Transfers ended, by result.", "source", "result")
        self._bytes = counter("transfer_bytes_total", "Bytes of media received.", "source")
        self._duration = histogram("transfer_duration_seconds", "From a link asked for to the object stored.", _SECONDS)
        self._requests = counter("provider_requests_total", "Requests to providers, by answer.", "source", "endpoint", "code")
        self._ratelimit = gauge("provider_ratelimit_remaining", "Requests left, as the provider last said.", "source")
        self._lateness = histogram("lateness_seconds", "From a recording's end to its copy stored here.", _LATENESS)
        self._lost = counter("lost_total", "Recordings deleted at the provider before they were archived.", "source")
        self._fixity = counter("fixity_checked_total", "Stored objects checked, by result.", "result")
        self._sealed = gauge("ledger_sealed_timestamp_seconds", "When the history was last sealed.")
        self._missed = counter("scheduler_missed_total", "Rings of the schedule that came too late or met a running job.", "job")
        self._inflight = gauge("inflight_transfers", "Transfers under way in this process.")
        Info("archiver_build", "The program's version.", registry=registry).info({"version": version})
        # A counter that appears with its first event hides that event from rate(); those of known sources start at 0.
        for source in sources:
            self._bytes.labels(source)
            self._lost.labels(source)

    def exposition(self) -> bytes:
        """All metrics as Prometheus reads them (`CONTENT_TYPE`)."""
        return generate_latest(_WithoutCreated(self._registry))

    def count_recordings(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Sets `recordings` from the catalog's own counts, {source: {state: number}}; a state that is not named is 0."""
        self._recordings.clear()
        for source, states in counts.items():
            for state in State:
                self._recordings.labels(source, state.value).set(states.get(state.value, 0))

    def set_oldest_unarchived(self, source: str, age: timedelta | None) -> None:
        """Sets the age of the oldest unarchived rendition; None, where nothing waits, is 0."""
        self._oldest.labels(source).set(age.total_seconds() if age else 0)

    def pass_completed(self, source: str, at: datetime) -> None:
        """Notes a complete pass."""
        self._pass.labels(source).set(at.timestamp())

    def transfer_ended(self, source: str, result: str, duration: timedelta) -> None:
        """Counts a transfer that ended as `result` (a state or an outcome's name) after `duration`."""
        self._transfers.labels(source, _label(result)).inc()
        self._duration.observe(duration.total_seconds())

    def bytes_received(self, source: str, number: int) -> None:
        """Adds bytes of media."""
        self._bytes.labels(source).inc(number)

    def provider_asked(self, source: str, endpoint: str, code: int | str) -> None:
        """Counts a request. `endpoint` is a word for the kind of request, never its path; `code` an HTTP status or a word."""
        self._requests.labels(source, _label(endpoint), _label(code)).inc()

    def set_ratelimit_remaining(self, source: str, remaining: int) -> None:
        """Notes what the provider last said about requests left."""
        self._ratelimit.labels(source).set(remaining)

    def archived_after(self, lateness: timedelta) -> None:
        """Notes how long after a recording's end its copy was stored; clocks may differ, so less than 0 counts as 0."""
        self._lateness.observe(max(lateness.total_seconds(), 0))

    def lost(self, source: str, number: int = 1) -> None:
        """Counts recordings that are gone for good."""
        self._lost.labels(source).inc(number)

    def fixity_checked(self, result: str, number: int = 1) -> None:
        """Counts checked objects: ok, missing, mismatched and the like."""
        self._fixity.labels(_label(result)).inc(number)

    def ledger_sealed(self, at: datetime) -> None:
        """Notes that the history is sealed up to `at`."""
        self._sealed.set(at.timestamp())

    def schedule_missed(self, job: str) -> None:
        """Counts a ring that led to no run."""
        self._missed.labels(_label(job)).inc()

    def set_inflight(self, number: int) -> None:
        """Notes the transfers under way."""
        self._inflight.set(number)
