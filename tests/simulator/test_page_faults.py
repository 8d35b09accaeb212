"""Lists that lie, lists that shift and JSON that is none."""

import json
import uuid
from datetime import timedelta
from typing import get_args

import pytest

from archiver.simulator import actions, page_actions
from archiver.simulator.faults import Rule
from archiver.simulator.recordings import Source
from tests.simulator.stage import NOON, TELNYX_ID, TWILIO_ID, ask_telnyx, ask_twilio, telnyx_recording, twilio_recording

READABLE = {"lone surrogate", "nul", "big integers", "null", "array", "string", "no list", "object for list", "no meta"}
READABLE |= {"strings for integers", "duplicate keys", "nan", "huge"}


@pytest.fixture
def faulty(simulation):
    def put(action, **where):
        simulation.faults.add(Rule(name="fault", action=action, **where))

    return put


@pytest.mark.parametrize("kind", get_args(page_actions.Garbling))
async def test_json_is_broken_as_asked_for(simulation, faulty, kind):
    faulty(page_actions.garbled(kind))
    for answer in (await ask_telnyx(simulation, "/room_recordings"), await ask_twilio(simulation, "/Recordings")):
        assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
        assert int(answer.header("Content-Length")) == len(answer.raw)
        if kind in READABLE:
            json.loads(answer.raw)
        else:
            with pytest.raises((ValueError, RecursionError)):
                json.loads(answer.raw.decode())


async def test_each_garbling_is_what_it_says(simulation, faulty):
    def put(kind):
        simulation.faults.clear()
        faulty(page_actions.garbled(kind))

    put("big integers")
    assert (await ask_telnyx(simulation, "/room_recordings")).json["data"][0]["size"] == 2**70
    put("lone surrogate")
    assert (await ask_twilio(simulation, "/Recordings")).json["recordings"][0]["track_name"] == "\ud800"
    put("no list")
    assert set((await ask_twilio(simulation, "/Recordings")).json) == {"meta"}
    put("no meta")
    assert set((await ask_telnyx(simulation, "/room_recordings")).json) == {"data"}
    put("strings for integers")
    assert (await ask_telnyx(simulation, "/room_recordings")).json["meta"]["total_results"] == "1"
    put("duplicate keys")
    assert (await ask_telnyx(simulation, "/room_recordings")).json["data"] == []
    put("huge")
    assert len((await ask_telnyx(simulation, "/room_recordings")).raw) > 2**24


async def test_fields_can_be_laid_over_lists_and_single_resources(simulation, faulty):
    faulty(page_actions.with_fields(id="../x", sid=None))

    assert (await ask_telnyx(simulation, "/room_recordings")).json["data"][0]["id"] == "../x"
    assert (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")).json["data"]["id"] == "../x"
    assert (await ask_twilio(simulation, "/Recordings")).json["recordings"][0]["sid"] is None
    assert (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}")).json["sid"] is None


async def test_download_links_can_lead_elsewhere(simulation, faulty):
    target = "http://169.254.169.254/"
    faulty(page_actions.links_to(target))
    redirect = await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}/Media")

    assert (await ask_telnyx(simulation, "/room_recordings")).json["data"][0]["download_url"] == target
    assert (await ask_telnyx(simulation, "/recordings")).json["data"][0]["download_urls"] == {"mp3": target, "wav": target}
    assert (redirect.status, redirect.header("Location"), redirect.json["redirect_to"]) == (302, target, target)


async def test_totals_can_be_wrong(simulation, faulty):
    faulty(page_actions.wrong_totals(pages=7, results=-1))

    assert (await ask_telnyx(simulation, "/room_recordings")).json["meta"] == {
        "page_number": 1,
        "page_size": 20,
        "total_pages": 7,
        "total_results": -1,
    }


async def test_a_list_can_be_without_end(simulation, faulty):
    faulty(page_actions.endless())
    for number in (1, 2, 50):
        page = (await ask_telnyx(simulation, f"/room_recordings?page[number]={number}")).json
        assert (page["meta"]["page_number"], page["meta"]["total_pages"]) == (number, number + 1)
        assert [item["id"] for item in page["data"]] == [TELNYX_ID]
    url = "/Recordings"
    for _ in range(3):
        page = (await ask_twilio(simulation, url)).json
        assert [item["sid"] for item in page["recordings"]] == [TWILIO_ID]
        assert page["meta"]["next_page_url"] != url
        url = page["meta"]["next_page_url"].removeprefix(simulation.twilio_url + "/v1")


async def test_a_list_can_stand_still(simulation, faulty):
    faulty(page_actions.stuck())
    telnyx = (await ask_telnyx(simulation, "/room_recordings?page[number]=4")).json
    twilio = (await ask_twilio(simulation, "/Recordings?PageSize=5")).json

    assert (telnyx["meta"]["page_number"], telnyx["meta"]["total_pages"], len(telnyx["data"])) == (1, 1000, 1)
    assert twilio["meta"]["next_page_url"] == simulation.twilio_url + "/v1/Recordings?PageSize=5"


async def test_the_next_page_can_be_on_another_origin(simulation, faulty):
    faulty(page_actions.next_page_at("http://127.0.0.1:9"))

    assert (await ask_twilio(simulation, "/Recordings")).json["meta"]["next_page_url"] == "http://127.0.0.1:9/v1/Recordings"


async def test_a_page_can_be_empty_though_the_totals_say_otherwise(simulation, faulty):
    faulty(page_actions.no_items())
    page = (await ask_telnyx(simulation, "/room_recordings")).json

    assert (page["data"], page["meta"]["total_results"]) == ([], 1)


async def test_the_page_size_can_be_ignored(simulation, world, faulty):
    world.add([telnyx_recording(str(uuid.UUID(int=number))) for number in range(20)])
    faulty(page_actions.page_size_ignored(7))
    page = (await ask_telnyx(simulation, "/room_recordings?page[size]=250")).json

    assert (len(page["data"]), page["meta"]["page_size"], page["meta"]["total_pages"]) == (7, 7, 3)
    assert (await ask_twilio(simulation, "/Recordings?PageSize=100")).json["meta"]["page_size"] == 7


async def test_items_can_come_twice(simulation, faulty):
    faulty(page_actions.doubled())

    assert [item["id"] for item in (await ask_telnyx(simulation, "/room_recordings")).json["data"]] == [
        TELNYX_ID,
        TELNYX_ID.upper(),
    ]
    assert [item["sid"] for item in (await ask_twilio(simulation, "/Recordings")).json["recordings"]] == [
        TWILIO_ID,
        "RT" + "A" * 32,
    ]


@pytest.mark.parametrize(
    ("change", "missed", "repeated"), [(page_actions.deletes, True, False), (page_actions.inserts, False, True)]
)
async def test_numbered_pages_shift_when_the_list_changes_between_them(simulation, world, faulty, change, missed, repeated):
    ids = [str(uuid.UUID(int=number, version=4)) for number in range(60)]
    world.remove(TELNYX_ID)
    world.add([telnyx_recording(each, ended_at=NOON - timedelta(minutes=10 + number)) for number, each in enumerate(ids)])
    faulty(actions.afterwards(change(Source.TELNYX_ROOMS)), host="telnyx")
    pages = [(await ask_telnyx(simulation, f"/room_recordings?page[number]={number}")).json["data"] for number in (1, 2, 3, 4)]
    found = [item["id"] for page in pages for item in page]

    assert bool(set(ids) - set(found)) is missed
    assert (len(found) > len(set(found))) is repeated


async def test_a_deletion_is_seen_by_the_source_that_it_was_for(simulation, world):
    world.add([twilio_recording("RT" + "d" * 32)])
    page_actions.deletes(Source.TWILIO_VIDEO, lambda each: each.id == TWILIO_ID)(world)

    assert [item["sid"] for item in (await ask_twilio(simulation, "/Recordings")).json["recordings"]] == ["RT" + "d" * 32]


async def test_a_change_for_which_there_is_nothing_changes_nothing(world):
    world.remove(TWILIO_ID)
    before = dict(world.recordings)
    page_actions.inserts(Source.TWILIO_VIDEO)(world)
    page_actions.deletes(Source.TWILIO_VIDEO)(world)

    assert world.recordings == before
