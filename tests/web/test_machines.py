"""Health and metrics: plain, quick, honest when the catalog is not there, and without a word about recordings."""

import asyncio
import json
import time
import urllib.parse

import pytest
from prometheus_client.parser import text_string_to_metric_families

from archiver.domain.recording import State
from tests.testbed.faults import BlackHole
from tests.web.seeds import SOURCES, a_month
from tests.web.site import site_at

# contract.md, section 6: family -> labels
CONTRACT = {
    "archiver_recordings": {"source", "state"},
    "archiver_oldest_unarchived_seconds": {"source"},
    "archiver_last_complete_pass_timestamp_seconds": {"source"},
    "archiver_transfers": {"source", "result"},
    "archiver_transfer_bytes": {"source"},
    "archiver_transfer_duration_seconds": {"le"},
    "archiver_provider_requests": {"source", "endpoint", "code"},
    "archiver_provider_ratelimit_remaining": {"source"},
    "archiver_lateness_seconds": {"le"},
    "archiver_lost": {"source"},
    "archiver_fixity_checked": {"result"},
    "archiver_ledger_sealed_timestamp_seconds": set(),
    "archiver_scheduler_missed": {"job"},
    "archiver_inflight_transfers": set(),
    "archiver_build_info": {"version"},
}


async def test_livez_says_ok_with_a_broken_catalog_too(tmp_path):
    async with site_at(f"sqlite:///{tmp_path / 'nothing.db'}") as site:
        answer = await site.get("/livez")
        assert (answer.status, answer.text) == (200, "ok\n")


async def test_readyz_is_ready_when_nothing_is_wrong(month):
    answer = await month.get("/readyz")
    assert (answer.status, json.loads(answer.text)) == (200, {"ready": True, "problems": []})


async def test_readyz_says_what_the_program_finds_wrong(month_url):
    async def wrong() -> list[str]:
        return ["telnyx-rooms: no complete pass for 700 s", "the store: access denied"]

    async with site_at(month_url, problems=wrong) as site:
        answer = await site.get("/readyz")
        assert answer.status == 503
        assert json.loads(answer.text) == {"ready": False, "problems": await wrong()}
        assert (await site.json("/api/v1/status"))["ready"] is False
        home = (await site.get("/")).text
        assert "the store: access denied" in home


async def answered_in_time(site, path: str = "/readyz"):
    begun = time.monotonic()
    answer = await site.get(path)
    assert time.monotonic() - begun < 2.0
    return answer


async def test_readyz_with_a_broken_catalog_is_503_in_time_and_does_not_say_where_the_catalog_is(tmp_path):
    async with site_at(f"sqlite:///{tmp_path / 'nothing.db'}") as site:
        answer = await answered_in_time(site)
        assert (answer.status, json.loads(answer.text)["problems"]) == (503, ["the catalog cannot be used"])


async def test_readyz_with_a_catalog_of_garbage_is_503_in_time(tmp_path):
    (tmp_path / "garbage.db").write_bytes(b"no database at all" * 1000)
    async with site_at(f"sqlite:///{tmp_path / 'garbage.db'}") as site:
        assert (await answered_in_time(site)).status == 503


async def test_readyz_with_a_check_that_hangs_is_503_in_time_and_asks_it_once(month_url):
    asked = []

    async def hanging() -> list[str]:
        asked.append(1)
        await asyncio.Event().wait()
        return []

    async with site_at(month_url, problems=hanging) as site:
        answers = await asyncio.gather(*(answered_in_time(site) for _ in range(20)))
        assert {answer.status for answer in answers} == {503}
        assert "did not answer within 1.5 s" in answers[0].text
        assert len(asked) == 1


async def test_readyz_with_a_check_that_fails_is_503_and_says_nothing_of_it(month_url):
    async def failing() -> list[str]:
        raise RuntimeError("password=hunter2")

    async with site_at(month_url, problems=failing) as site:
        answer = await site.get("/readyz")
        assert answer.status == 503
        assert "hunter2" not in answer.text


async def test_a_postgresql_that_falls_silent_is_noticed_in_time_and_its_return_too(migrated_postgres_url, tcp_proxy):
    proxy = await tcp_proxy("127.0.0.1", urllib.parse.urlsplit(migrated_postgres_url).port)
    async with site_at(proxy.url_for(migrated_postgres_url)) as site:
        assert (await site.get("/readyz")).status == 200
        rule = proxy.add(BlackHole())
        site.clock.advance(seconds=10)
        assert (await answered_in_time(site)).status == 503
        assert (await answered_in_time(site, "/metrics")).status == 200
        assert (await answered_in_time(site, "/livez")).status == 200
        proxy.remove(rule)
        async with asyncio.timeout(10):
            while (await site.get("/readyz")).status != 200:
                site.clock.advance(seconds=10)


async def test_metrics_have_the_names_and_labels_of_the_contract(month):
    month.view.metrics.provider_asked("telnyx-rooms", "recordings", 200)
    month.view.metrics.schedule_missed("poll")
    month.view.metrics.fixity_checked("ok")
    families = list(text_string_to_metric_families((await month.get("/metrics")).text))
    found = {}
    for family in families:
        found[family.name] = {label for sample in family.samples for label in sample.labels}
    assert found.keys() == CONTRACT.keys()
    for name, labels in found.items():
        assert labels <= CONTRACT[name], name


async def test_metrics_hold_no_id_and_no_name_of_anybody(month):
    text = (await month.get("/metrics")).text
    for row in (await month.json("/api/v1/recordings?limit=500"))["items"]:
        assert row["recording_id"] not in text
        assert row["sha256"] == "" or row["sha256"] not in text
    for name in ("Board meeting", "Jonas", "+49", "example.org"):
        assert name not in text


async def test_gauges_are_counted_anew_at_most_every_five_seconds(empty):
    def sample(text: str, name: str) -> dict[tuple[str, ...], float]:
        (family,) = (item for item in text_string_to_metric_families(text) if item.name == name)
        return {tuple(sample.labels.values()): sample.value for sample in family.samples}

    before = sample((await empty.get("/metrics")).text, "archiver_recordings")
    assert before == {(source.name, state.value): 0 for source in SOURCES for state in State}
    await a_month(empty.seeder, recordings=20)
    empty.clock.passed = 4.9
    assert sample((await empty.get("/metrics")).text, "archiver_recordings") == before
    empty.clock.passed = 5.0
    text = (await empty.get("/metrics")).text
    assert sample(text, "archiver_recordings") != before
    passes = sample(text, "archiver_last_complete_pass_timestamp_seconds")
    assert passes["telnyx-rooms",] == pytest.approx(empty.clock.now().timestamp() - 120)
