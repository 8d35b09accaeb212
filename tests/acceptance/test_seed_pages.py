"""The recording of each documentation page goes from the list to a stored, verified object whose bytes hash to the catalog's."""

import copy
import hashlib
import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from aiohttp import web

from archiver.catalog.tables import recordings, rooms
from archiver.simulator.media_file import Kind, MediaFile
from tests.acceptance.pages import provider, seed
from tests.acceptance.stage import configuration, opened
from tests.pipeline.clock import VirtualClock

LOCAL = "http://127.0.0.1"


def media(kind, name="seed", size=30_000):
    return MediaFile(kind=kind, seed=name, size_hint=size)


def link(pages, path, file):
    """Puts a file on the media host and returns a presigned-looking URL of it."""
    pages.media[path] = (file.read(), file.content_type)
    return f"{pages.media_url}{path}?X-Amz-Signature=seed"


def one_page(*rows):
    """A list of everything on one page, as Telnyx writes it."""
    return {"data": list(rows), "meta": {"page_number": 1, "page_size": 250, "total_pages": 1, "total_results": len(rows)}}


EMPTY = one_page()


def open_ones_apart(document):
    """The list of recordings still processing is empty, the other one is `document`."""
    return lambda request: EMPTY if "filter[status]" in request.query else document


async def archived(archive, *expected):
    """One cycle; what was expected is verified, its bytes read back are the ones sent and hash to the catalog's digest."""
    await archive.sync()
    rows = await archive.renditions()
    assert {name: rows[name].state for name, _file in expected} == dict.fromkeys((name for name, _file in expected), "verified")
    for name, file in expected:
        body = await archive.content(rows[name])
        assert body == file.read()
        assert hashlib.sha256(body).hexdigest() == rows[name].sha256
    return rows


async def kept_raw(archive, recording_id):
    (row,) = await archive.rows(sa.select(recordings).where(recordings.c.recording_id == recording_id))
    return row


def without_queries(document):
    return json.loads(json.dumps(document).replace("?X-Amz-Signature=seed", ""))


async def test_page_000_a_room_recording(tmp_path, sqlite_url):
    page = seed("telnyx_room_recording")
    row = page["data"]
    file = media(Kind.OGG_OPUS)
    clock = VirtualClock(datetime(2021, 4, 16, 12, tzinfo=UTC))
    async with provider() as pages:
        row["download_url"] = link(pages, "/a.ogg", file)
        pages.pages = {
            "/v2/room_recordings": open_ones_apart(one_page(row)),
            f"/v2/room_recordings/{row['id']}": page,
        }
        text = configuration(pages, folder=tmp_path, catalog=sqlite_url, sources=["telnyx-rooms"])
        async with opened(text, tmp_path, clock) as archive:
            rows = await archived(archive, (("telnyx-rooms", row["id"], "media"), file))
            kept = await kept_raw(archive, row["id"])
    (found,) = rows.values()
    assert found.key == f"telnyx-rooms/2021/04/16/{row['id']}/media.ogg"
    assert kept.raw == without_queries(row)
    assert (kept.ended_at, kept.duration, kept.codec) == (datetime(2021, 4, 16, 10, 24, 55, 962200, UTC), 3660, "opus")
    assert (kept.room_id, kept.session_id, kept.participant_id) == (row["room_id"], row["session_id"], row["participant_id"])


async def test_page_001_a_call_recording(tmp_path, sqlite_url):
    page = seed("telnyx_call_recording")
    row = page["data"]
    files = {"mp3": media(Kind.MP3), "wav": media(Kind.WAV)}
    clock = VirtualClock(datetime(2019, 1, 24, tzinfo=UTC))
    async with provider() as pages:
        row["download_urls"] = {name: link(pages, f"/{name}", file) for name, file in files.items()}
        pages.pages = {"/v2/recordings": one_page(row), f"/v2/recordings/{row['id']}": page}
        text = configuration(pages, folder=tmp_path, catalog=sqlite_url, sources=["telnyx-calls"])
        async with opened(text, tmp_path, clock) as archive:
            expected = [(("telnyx-calls", row["id"], name), file) for name, file in files.items()]
            rows = await archived(archive, *expected)
            kept = await kept_raw(archive, row["id"])
    folder = f"telnyx-calls/2019/01/23/{row['id']}"
    assert {each.key for each in rows.values()} == {f"{folder}/mp3.mp3", f"{folder}/wav.wav"}
    assert kept.raw == without_queries(row)
    assert (kept.duration, kept.started_at, kept.ended_at) == (60, *[datetime(2019, 1, 23, 18, 10, 2, 574000, UTC)] * 2)


async def test_page_002_a_list_of_room_recordings(tmp_path, sqlite_url):
    """The page is the second of three, with twenty-five of fifty-five recordings to a page."""
    page = seed("telnyx_room_recordings_page")
    model, meta = page["data"][0], page["meta"]
    clock = VirtualClock(datetime(2021, 4, 16, 12, tzinfo=UTC))
    async with provider() as pages:
        everything = []
        for number in range(meta["total_results"]):
            # The page's own row stands where it stood: first on the second page.
            ours = model["id"] if number == meta["page_size"] else f"6b61621f-62e0-4aad-ab11-{number:012x}"
            file = media(Kind.OGG_OPUS, ours, 2000)
            everything.append(({**model, "id": ours, "download_url": link(pages, f"/{ours}.ogg", file)}, file))

        def listed(request):
            if "filter[status]" in request.query:
                return EMPTY
            days = [request.query[f"filter[date_ended_at][{end}]"] for end in ("gte", "lte")]
            if not days[0] <= "2021-04-16" <= days[1]:
                return EMPTY
            number = int(request.query["page[number]"])
            start = (number - 1) * meta["page_size"]
            rows = [row for row, _file in everything[start : start + meta["page_size"]]]
            return {"data": rows, "meta": {**meta, "page_number": number}}

        pages.pages = {"/v2/room_recordings": listed}
        pages.pages |= {f"/v2/room_recordings/{row['id']}": {"data": row} for row, _file in everything}
        text = configuration(pages, folder=tmp_path, catalog=sqlite_url, sources=["telnyx-rooms"])
        async with opened(text, tmp_path, clock) as archive:
            rows = await archived(archive, *[(("telnyx-rooms", row["id"], "media"), file) for row, file in everything])
            state = await archive.app.catalog.source_state("telnyx-rooms")
    assert len(rows) == meta["total_results"]
    assert (state.problem, state.watermark is None) == ("", False)


async def test_page_003_a_room_and_the_recording_made_in_it(tmp_path, sqlite_url):
    room = seed("telnyx_room")
    row = {**seed("telnyx_room_recording")["data"], "room_id": room["data"]["id"]}
    file = media(Kind.OGG_OPUS)
    clock = VirtualClock(datetime(2021, 4, 16, 12, tzinfo=UTC))
    async with provider() as pages:
        row["download_url"] = link(pages, "/a.ogg", file)
        pages.pages = {
            "/v2/room_recordings": open_ones_apart(one_page(row)),
            f"/v2/room_recordings/{row['id']}": {"data": row},
            f"/v2/rooms/{room['data']['id']}": room,
        }
        text = configuration(pages, folder=tmp_path, catalog=sqlite_url, sources=["telnyx-rooms"])
        async with opened(text, tmp_path, clock) as archive:
            rows = await archived(archive, (("telnyx-rooms", row["id"], "media"), file))
            kept = await kept_raw(archive, row["id"])
            (known,) = await archive.rows(sa.select(rooms))
            await archive.sync()
        asked = [request.path for request in pages.seen if request.path.startswith("/v2/rooms/")]
    assert (kept.room_name, known.name) == ("My Room", "My Room")
    assert known.raw == room["data"]
    assert "My" not in next(iter(rows.values())).key
    assert len(asked) == 1


@pytest.mark.parametrize("external", [False, True], ids=["held by Twilio", "in the customer's bucket"])
async def test_page_004_a_twilio_room_recording_that_completes_later(tmp_path, sqlite_url, external):
    shown = seed("twilio_room_recording")
    sid, file = shown["sid"], media(Kind.MKA_OPUS)
    clock = VirtualClock(datetime(2015, 7, 30, 20, 1, tzinfo=UTC))
    async with provider() as pages:

        def listed(request):
            rows = [] if "Status" in request.query else [copy.deepcopy(shown)]
            meta = {"page": 0, "page_size": 100, "key": "recordings", "next_page_url": None, "previous_page_url": None}
            return {"recordings": rows, "meta": meta}

        def redirect(_request):
            url = link(pages, "/a.mka", file)
            return web.json_response({"redirect_to": url}, status=302, headers={"Location": url})

        pages.pages = {
            "/v1/Recordings": listed,
            f"/v1/Recordings/{sid}": lambda _request: copy.deepcopy(shown),
            f"/v1/Recordings/{sid}/Media": redirect,
        }
        text = configuration(pages, folder=tmp_path, catalog=sqlite_url, sources=["twilio-video"])
        async with opened(text, tmp_path, clock) as archive:
            await archive.sync()
            name = ("twilio-video", sid, "media")
            assert (await archive.renditions())[name].state == "waiting"
            assert not [request for request in pages.seen if request.path.endswith("Media")]
            clock.advance(minutes=30)
            shown |= {"status": "completed", "size": file.size, "duration": 600}
            if external:
                await archive.sync()
                assert (await archive.renditions())[name].state == "external"
                assert not [request for request in pages.seen if request.path.endswith("Media")]
                return
            shown["media_external_location"] = None
            rows = await archived(archive, (name, file))
            kept = await kept_raw(archive, sid)
    assert rows[name].key == f"twilio-video/2015/07/30/{sid}/media.mka"
    assert kept.raw == shown
    assert (kept.ended_at, kept.size) == (datetime(2015, 7, 30, 20, 10, tzinfo=UTC), file.size)
