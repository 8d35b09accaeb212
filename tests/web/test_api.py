"""Lists by the API and on the page: filters as the command has them, pages that lose and repeat nothing."""

import json
import re
from datetime import timedelta

import pytest

from archiver.catalog import listing
from archiver.catalog.selector import Selector
from tests.web.seeds import CALLS, ROOMS, VIDEO


async def all_of(site, query: str = "", *, limit: int = 7) -> list[dict]:
    """Everything that the API lists, page by page."""
    found, asked, path = [], set(), f"/api/v1/recordings?limit={limit}{query}"
    while path:
        assert path not in asked, "the pages go round in a circle"
        asked.add(path)
        document = await site.json(path)
        assert document["schema"] == "archiver.recordings/1"
        assert len(document["items"]) <= limit
        found += document["items"]
        path = document["next"]
    return found


async def by_command(site, selector: Selector, *, newest_first: bool = False) -> list[dict]:
    """What `archiver list --json` gives for it."""
    async with site.view.database.read() as conn:
        rows = await listing.page(conn, selector, limit=10_000, newest_first=newest_first)
    return [listing.document(row, site.view.full_key) for row in rows]


@pytest.mark.parametrize(
    ("query", "selector"),
    [
        ("", Selector()),
        (f"&source={ROOMS}", Selector(sources=(ROOMS,))),
        (f"&source={ROOMS}&source={VIDEO}", Selector(sources=(ROOMS, VIDEO))),
        ("&state=verified", Selector(states=("verified",))),
        ("&state=lost&state=failed&state=waiting", Selector(states=("lost", "failed", "waiting"))),
        ("&room=Board*", Selector(room="Board*")),
        ("&room=room-1", Selector(room="room-1")),
        ("&participant=%2B49+*", Selector(participant="+49 *")),
        ("&room=nowhere", Selector(room="nowhere")),
        ("&id=x&id=y", Selector(ids=("x", "y"))),
    ],
)
async def test_the_list_is_what_the_command_lists(month, query, selector):
    listed = await all_of(month, query)
    assert listed == await by_command(month, selector)
    assert await all_of(month, query + "&order=newest") == await by_command(month, selector, newest_first=True)
    assert listed or selector.room == "nowhere" or selector.ids


async def test_the_list_is_bounded_by_when_recordings_ended(month):
    since, until = month.clock.now() - timedelta(days=20), month.clock.now() - timedelta(days=10)
    query = f"&since={since:%Y-%m-%dT%H:%M:%SZ}&until={until:%Y-%m-%dT%H:%M:%S}%2B00:00"
    listed = await all_of(month, query)
    assert listed == await by_command(month, Selector(since=since, until=until))
    assert {item["source"] for item in listed} == {ROOMS, CALLS, VIDEO}


async def test_an_id_finds_its_recording(month):
    (one, *_) = await all_of(month)
    for key in (one["recording_id"], f"{one['source']}/{one['recording_id']}"):
        assert await all_of(month, f"&id={key}") == [one]


async def test_what_arrives_while_somebody_pages_is_at_the_end_and_nothing_is_lost(month):
    before = await all_of(month)
    first = await month.json("/api/v1/recordings?limit=10")
    await month.seeder.bring(ROOMS, "listed", month.seeder.listed(ROOMS, month.clock.now()))
    found, path = first["items"], first["next"]
    while path:
        document = await month.json(path)
        found, path = found + document["items"], document["next"]
    assert found[: len(before)] == before
    assert len(found) == len(before) + 1


async def test_keys_are_shown_whole(month):
    for item in await all_of(month, "&state=verified"):
        assert item["key"].startswith(f"prefix/{item['source']}/")


async def test_names_of_strangers_travel_as_ascii(month):
    name = "</script>\u202e\u2028é"
    await month.seeder.bring(ROOMS, "due", month.seeder.listed(ROOMS, month.clock.now(), recording_id="r", participant_name=name))
    answer = await month.get(f"/api/v1/recordings/{ROOMS}/r")
    assert answer.text.isascii()
    assert json.loads(answer.text)["participant"]["name"] == name


# -- the page


async def ids_on(site, path: str) -> list[str]:
    """Every recording of a list for people, page by page."""
    found, asked = [], set()
    while path:
        assert path not in asked, "the pages go round in a circle"
        asked.add(path)
        page = (await site.get(path)).text
        found += re.findall(r'class="id" href="/recordings/[^/]+/([^"]+)"', page)
        more = re.search(r'rel="next" href="([^"]+)"', page)
        path = more[1].replace("&amp;", "&") if more else ""
    return found


async def test_the_page_shows_what_ended_last_first_whichever_the_source(month, monkeypatch):
    monkeypatch.setattr("archiver.web.filters.SHOWN", 7)
    rows = await by_command(month, Selector(since=month.clock.now() - timedelta(days=30)))
    expected = [row["recording_id"] for row in sorted(rows, key=lambda row: row["ended_at"], reverse=True)]
    assert len({row["ended_at"] for row in rows}) == len(rows)
    assert await ids_on(month, "/recordings?ended=30d") == expected


async def test_recordings_that_ended_in_the_same_moment_are_all_shown_once(month, monkeypatch):
    monkeypatch.setattr("archiver.web.filters.SHOWN", 3)
    at = month.clock.now() - timedelta(hours=1)
    for number in range(8):
        source = (ROOMS, CALLS, VIDEO)[number % 3]
        await month.seeder.bring(source, "due", month.seeder.listed(source, at, recording_id=f"same-{number}"))
    shown = await ids_on(month, "/recordings?ended=24h")
    assert sorted(key for key in shown if key.startswith("same")) == [f"same-{number}" for number in range(8)]
    assert len(shown) == len(set(shown))


async def test_the_overview_shows_what_ended_last_and_no_recording_from_the_future(month):
    future = month.seeder.listed(ROOMS, month.clock.now() + timedelta(days=365 * 70), recording_id="from-2096")
    await month.seeder.bring(ROOMS, "lost", future)
    rows = await by_command(month, Selector(since=month.clock.now() - timedelta(days=300)))
    ended = sorted((row for row in rows if row["recording_id"] != "from-2096"), key=lambda row: row["ended_at"], reverse=True)
    assert await ids_on(month, "/") == [row["recording_id"] for row in ended[:20]]


async def test_filters_are_links_that_keep_each_other(month):
    page = (await month.get(f"/recordings?source={ROOMS}&room=Board*")).text
    assert f'href="/recordings?source={ROOMS}&amp;room=Board%2A&amp;state=lost"' in page
    assert 'href="/recordings?room=Board%2A"' in page, "all sources"
    shown = await ids_on(month, f"/recordings?source={ROOMS}&room=Board*")
    listed = await by_command(month, Selector(sources=(ROOMS,), room="Board*"), newest_first=True)
    assert shown == [row["recording_id"] for row in listed]


async def test_an_empty_catalog_says_what_will_happen_next(empty):
    home = (await empty.get("/")).text
    assert "No recordings yet" in home
    assert "What happens next" in home
    assert f"{ROOMS} every 5 min" in home
    assert "Nothing has been listed so far" in (await empty.get("/recordings")).text
    assert "No recording matches" in (await empty.get("/recordings?state=lost")).text
