"""The metrics that alerts hold on to: their names, their labels, and that no id becomes a label."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from archiver.domain.recording import State
from archiver.telemetry import Metrics

AT = datetime(2026, 1, 31, tzinfo=UTC)
CONTRACT = {
    "archiver_recordings": {"source", "state"},
    "archiver_oldest_unarchived_seconds": {"source"},
    "archiver_last_complete_pass_timestamp_seconds": {"source"},
    "archiver_transfers_total": {"source", "result"},
    "archiver_transfer_bytes_total": {"source"},
    "archiver_transfer_duration_seconds_count": set(),
    "archiver_provider_requests_total": {"source", "endpoint", "code"},
    "archiver_provider_ratelimit_remaining": {"source"},
    "archiver_lateness_seconds_count": set(),
    "archiver_lost_total": {"source"},
    "archiver_fixity_checked_total": {"result"},
    "archiver_ledger_sealed_timestamp_seconds": set(),
    "archiver_scheduler_missed_total": {"job"},
    "archiver_inflight_transfers": set(),
    "archiver_build_info": {"version"},
}


def samples(metrics: Metrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


@pytest.fixture
def metrics() -> Metrics:
    found = Metrics(version="1.2.3", sources=["rooms"])
    found.count_recordings({"rooms": {"due": 2, "verified": 5}})
    found.set_oldest_unarchived("rooms", timedelta(minutes=1))
    found.pass_completed("rooms", AT)
    found.transfer_ended("rooms", "stored", timedelta(seconds=2))
    found.bytes_received("rooms", 1000)
    found.provider_asked("rooms", "recordings", 200)
    found.set_ratelimit_remaining("rooms", 9)
    found.archived_after(timedelta(seconds=90))
    found.lost("rooms")
    found.fixity_checked("ok", 3)
    found.ledger_sealed(AT)
    found.schedule_missed("seal")
    found.set_inflight(4)
    return found


def test_the_metrics_are_exactly_those_of_the_contract_with_their_labels(metrics: Metrics) -> None:
    found = samples(metrics)
    parts = {name for name in found if name.endswith(("_bucket", "_sum"))}
    assert {name: {label for labels in found[name] for label, _ in labels} for name in found.keys() - parts} == CONTRACT
    assert parts == {
        f"archiver_{name}_seconds_{part}" for name in ("transfer_duration", "lateness") for part in ("bucket", "sum")
    }


def test_each_method_moves_its_metric(metrics: Metrics) -> None:
    found = samples(metrics)
    rooms = (("source", "rooms"),)
    assert found["archiver_recordings"][("source", "rooms"), ("state", "verified")] == 5
    assert found["archiver_oldest_unarchived_seconds"][rooms] == 60
    assert found["archiver_last_complete_pass_timestamp_seconds"][rooms] == AT.timestamp()
    assert found["archiver_transfers_total"][("result", "stored"), ("source", "rooms")] == 1
    assert found["archiver_transfer_bytes_total"][rooms] == 1000
    assert found["archiver_transfer_duration_seconds_sum"][()] == 2
    assert found["archiver_provider_requests_total"][("code", "200"), ("endpoint", "recordings"), ("source", "rooms")] == 1
    assert found["archiver_provider_ratelimit_remaining"][rooms] == 9
    assert found["archiver_lateness_seconds_sum"][()] == 90
    assert found["archiver_lost_total"][rooms] == 1
    assert found["archiver_fixity_checked_total"][("result", "ok"),] == 3
    assert found["archiver_ledger_sealed_timestamp_seconds"][()] == AT.timestamp()
    assert found["archiver_scheduler_missed_total"][("job", "seal"),] == 1
    assert found["archiver_inflight_transfers"][()] == 4
    assert found["archiver_build_info"][("version", "1.2.3"),] == 1


def test_every_state_of_a_source_has_a_number_and_a_source_that_is_gone_has_none(metrics: Metrics) -> None:
    assert {dict(labels)["state"] for labels in samples(metrics)["archiver_recordings"]} == {state.value for state in State}
    metrics.count_recordings({"calls": {"due": 1}})
    assert {dict(labels)["source"] for labels in samples(metrics)["archiver_recordings"]} == {"calls"}


def test_an_id_that_slips_into_a_label_becomes_other() -> None:
    metrics = Metrics(version="1")
    for odd in ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "/v2/recordings/1", "RT" + "0" * 32, "", "a\nb", "x" * 50):
        metrics.provider_asked("rooms", odd, odd)
        metrics.transfer_ended("rooms", odd, timedelta(0))
        metrics.schedule_missed(odd)
        metrics.fixity_checked(odd)
    found = samples(metrics)
    assert found["archiver_provider_requests_total"] == {(("code", "other"), ("endpoint", "other"), ("source", "rooms")): 6}
    assert found["archiver_transfers_total"] == {(("result", "other"), ("source", "rooms")): 6}


def test_counters_of_known_sources_start_at_nought_so_that_the_first_event_shows() -> None:
    found = samples(Metrics(version="1", sources=["rooms"]))
    assert found["archiver_lost_total"] == {(("source", "rooms"),): 0}
    assert found["archiver_transfer_bytes_total"] == {(("source", "rooms"),): 0}


def test_two_programs_in_one_process_do_not_share_metrics() -> None:
    one, other = Metrics(version="1", sources=["rooms"]), Metrics(version="1", sources=["rooms"])
    one.lost("rooms")
    assert samples(other)["archiver_lost_total"] == {(("source", "rooms"),): 0}
    assert not [name for name in REGISTRY._names_to_collectors if name.startswith("archiver_")]


def test_a_clock_that_runs_behind_the_provider_s_makes_no_negative_lateness() -> None:
    metrics = Metrics(version="1")
    metrics.archived_after(timedelta(seconds=-5))
    assert samples(metrics)["archiver_lateness_seconds_sum"] == {(): 0}
