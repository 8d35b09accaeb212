"""The numbers on the page, in the API, in the metrics and in the database are the same numbers, and they add up (I25)."""

import re

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from archiver.catalog.tables import renditions
from archiver.domain.recording import State
from tests.web.seeds import CALLS, SOURCES, a_month
from tests.web.site import site_at


async def in_sql(site) -> dict[str, dict[str, int]]:
    """Counts by source and state, the plain way."""
    columns = renditions.c.source, renditions.c.state
    async with site.view.database.read() as conn:
        rows = (await conn.execute(sa.select(*columns))).all()
    found: dict[str, dict[str, int]] = {}
    for source, state in rows:
        of = found.setdefault(source, {})
        of[state] = of.get(state, 0) + 1
    return found


def legends(page: str) -> list[tuple[dict[str, int], int]]:
    """Every legend of a page: counts by state, and the sum below them."""
    found = []
    for legend in re.findall(r'<ul class="legend.*?</ul>', page, re.DOTALL):
        counts = re.findall(r'data-state="([a-z]+)">.*?<b>([\d,]+)</b>', legend, re.DOTALL)
        (total,) = re.findall(r'class="sum"><b>([\d,]+)</b>', legend)
        found.append(({state: int(count.replace(",", "")) for state, count in counts}, int(total.replace(",", ""))))
    return found


def headline_numbers(page: str) -> list[int]:
    (text,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", re.sub(r"<[^>]+>", "", text))]


async def assert_all_the_same(site) -> None:
    truth = await in_sql(site)
    totals = {state.value: sum(of.get(state.value, 0) for of in truth.values()) for state in State}
    status = await site.json("/api/v1/status")
    assert {item["name"]: {k: v for k, v in item["states"].items() if v} for item in status["sources"]} == truth
    assert status["totals"] == totals
    page = (await site.get("/")).text
    (whole, everything), *cards = legends(page)
    assert whole == {state: count for state, count in totals.items() if count}
    assert everything == sum(whole.values()) == sum(totals.values())
    assert cards == [(truth[source.name], sum(truth[source.name].values())) for source in SOURCES]
    verified, total, *rest = headline_numbers(page)
    assert (verified, total) == (totals["verified"], everything)
    assert verified + sum(rest) == total
    families = text_string_to_metric_families((await site.get("/metrics")).text)
    (gauges,) = (family for family in families if family.name == "archiver_recordings")
    counted = {(s.labels["source"], s.labels["state"]): s.value for s in gauges.samples}
    assert counted == {
        (source.name, state.value): truth[source.name].get(state.value, 0) for source in SOURCES for state in State
    }


async def test_page_api_metrics_and_database_agree_on_sqlite(month):
    await assert_all_the_same(month)


async def test_page_api_metrics_and_database_agree_on_postgresql(migrated_postgres_url):
    async with site_at(migrated_postgres_url) as site:
        await a_month(site.seeder, recordings=30)
        await assert_all_the_same(site)
        rows = (await site.json("/api/v1/recordings?limit=500"))["items"]
        assert len(rows) == sum((await site.json("/api/v1/status"))["totals"].values())
        assert (await site.get("/recordings?ended=7d")).status == 200
        assert (await site.get(f"/recordings/{rows[0]['source']}/{rows[0]['recording_id']}")).status == 200


async def test_a_change_shows_within_five_seconds_everywhere(month):
    await assert_all_the_same(month)
    await month.seeder.bring(CALLS, "due", month.seeder.listed(CALLS, month.clock.now()))
    month.clock.passed += 5.0
    await assert_all_the_same(month)


async def test_recordings_with_two_media_files_are_not_called_as_many_recordings(empty):
    both = empty.seeder.listed(CALLS, empty.clock.now(), renditions=("mp3", "wav"))
    await empty.seeder.bring(CALLS, "verified", both)
    page = (await empty.get("/")).text
    assert "All 2 media files archived and verified" in page
    assert "2 media files of 1 recording:" in page


@pytest.mark.parametrize("path", ["/recordings", "/api/v1/recordings?limit=500"])
async def test_the_list_has_every_rendition_once(month, path):
    truth = sum(sum(of.values()) for of in (await in_sql(month)).values())
    seen = []
    while path:
        if path.startswith("/api"):
            document = await month.json(path)
            seen += [f"{item['source']}/{item['recording_id']}" for item in document["items"]]
            path = document["next"]
        else:
            page = (await month.get(path)).text
            seen += re.findall(r'class="id" href="/recordings/([^"]+)"', page)
            more = re.search(r'rel="next" href="([^"]+)"', page)
            path = more[1].replace("&amp;", "&") if more else ""
    assert len(seen) == len(set(seen)) == truth
