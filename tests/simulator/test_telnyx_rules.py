"""The simulated Telnyx where the SDK does not go: error shapes, refusals, totals, headers and what it does not have."""

import json
import uuid
from datetime import timedelta

import pytest

from tests.simulator.stage import CALL_ID, NOON, TELNYX_ID, ask, ask_telnyx, call_recording, telnyx_recording


async def test_without_a_key_every_path_is_401_in_telnyx_words(simulation):
    for path in ("/v2/room_recordings", "/v2/recordings", "/v2/nothing"):
        answer = await ask(simulation.telnyx_url + path)
        assert (answer.status, answer.json["errors"][0]["code"]) == (401, "10009")


@pytest.mark.parametrize(
    ("shape", "keys"), [("errors", {"errors"}), ("bare", {"code", "title", "detail"}), ("message", {"message", "success"})]
)
async def test_the_video_endpoints_answer_errors_in_the_shape_chosen(simulation, shape, keys):
    simulation.behaviour.telnyx_error_shape = shape
    answer = await ask_telnyx(simulation, f"/room_recordings/{uuid.uuid4()}")

    assert answer.status == 404
    assert set(answer.json) == keys
    assert set((await ask_telnyx(simulation, f"/recordings/{uuid.uuid4()}")).json) == {"errors"}


@pytest.mark.parametrize("path", ["/rooms/recordings", "/room_recordings/x/media", "/nothing", "/room_compositions"])
async def test_paths_that_telnyx_does_not_have_are_404(simulation, path):
    answer = await ask_telnyx(simulation, path)

    assert (answer.status, answer.json["errors"][0]["code"]) == (404, "10005")


REFUSED = [
    "page[size]=0",
    "page[size]=251",
    "page[size]=x",
    "page[number]=0",
    "page[offset]=1",
    "filter[date_ended_at][gte]=2026-03-01T00:00:00Z",
    "filter[date_ended_at][gte]=2026-02-30",
    "filter[date_ended_at][gt]=2026-03-01",
    "filter[date_ended_at]=2026-03-01",
    "filter[ended_at][gte]=2026-03-01",
    "filter[room_id]=../x",
    "filter[duration_secs]=long",
    "filter=completed",
]


@pytest.mark.parametrize("query", REFUSED)
async def test_what_the_room_list_does_not_take_is_422(simulation, query):
    assert (await ask_telnyx(simulation, f"/room_recordings?{query}")).status == 422


@pytest.mark.parametrize(
    "query",
    ["page[size]=251", "filter[status]=completed", "filter[created_at][eq]=2026-03-01T00:00:00Z", "filter[end_time][gte]=noon"],
)
async def test_what_the_call_list_does_not_take_is_400(simulation, query):
    assert (await ask_telnyx(simulation, f"/recordings?{query}")).status == 400


async def test_percent_encoded_brackets_are_brackets(simulation):
    answer = await ask_telnyx(simulation, "/room_recordings?filter%5Bdate_ended_at%5D%5Bgte%5D=2026-03-10&page%5Bsize%5D=50")

    assert answer.json["meta"] == {"page_number": 1, "page_size": 50, "total_pages": 1, "total_results": 1}


async def test_both_forms_of_the_duration_filter_work(simulation):
    for query, found in (
        ("duration_secs]=3660", 1),
        ("duration_secs]=3661", 0),
        ("duration_secs][lte]=3660", 1),
        ("duration_secs][eq]=1", 0),
    ):
        assert (await ask_telnyx(simulation, f"/room_recordings?filter[{query}")).json["meta"]["total_results"] == found


async def test_a_date_filter_holds_for_whole_days_at_both_ends(simulation, world):
    world.add([telnyx_recording(ended_at=NOON.replace(day=9, hour=23, minute=59, second=59, microsecond=999_999))])
    for query, found in (
        ("[eq]=2026-03-09", 1),
        ("[gte]=2026-03-09", 1),
        ("[lte]=2026-03-09", 1),
        ("[gte]=2026-03-10", 0),
        ("[lte]=2026-03-08", 0),
    ):
        assert (await ask_telnyx(simulation, f"/room_recordings?filter[date_ended_at]{query}")).json["meta"][
            "total_results"
        ] == found, query


async def test_a_call_filter_is_inclusive_to_the_millisecond(simulation, world):
    at = NOON - timedelta(hours=1)
    world.add([call_recording(ended_at=at + timedelta(milliseconds=5, microseconds=900))])
    for query, found in (
        ("end_time][gte]=2026-03-10T11:00:00.005Z", 1),
        ("end_time][gte]=2026-03-10T11:00:00.006Z", 0),
        ("end_time][lte]=2026-03-10T11:00:00.005Z", 1),
        ("end_time][lte]=2026-03-10T12:00:00.004%2B01:00", 0),
    ):
        assert (await ask_telnyx(simulation, f"/recordings?filter[{query}")).json["meta"]["total_results"] == found, query


async def test_a_recording_that_is_processing_is_found_by_status_and_by_no_end(simulation, world):
    world.add([telnyx_recording(completed_at=NOON + timedelta(hours=1), ended_at=NOON + timedelta(minutes=59))])

    assert (await ask_telnyx(simulation, "/room_recordings?filter[status]=processing")).json["meta"]["total_results"] == 1
    assert (await ask_telnyx(simulation, "/room_recordings?filter[date_ended_at][gte]=2000-01-01")).json["meta"][
        "total_results"
    ] == 0


async def test_pages_beyond_the_last_are_empty_and_keep_the_totals(simulation, world):
    world.add([telnyx_recording(str(uuid.UUID(int=number))) for number in range(44)])
    sizes = [
        len((await ask_telnyx(simulation, f"/room_recordings?page[number]={number}")).json["data"]) for number in range(1, 6)
    ]

    assert sizes == [20, 20, 5, 0, 0]
    assert (await ask_telnyx(simulation, "/room_recordings?page[number]=9")).json["meta"] == {
        "page_number": 9,
        "page_size": 20,
        "total_pages": 3,
        "total_results": 45,
    }


async def test_instants_are_written_as_each_api_writes_them(simulation, world):
    ended_at = NOON.replace(microsecond=962_200) - timedelta(hours=1)
    world.add([telnyx_recording(ended_at=ended_at), call_recording(ended_at=ended_at)])

    assert (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")).json["data"][
        "ended_at"
    ] == "2026-03-10T11:00:00.962200Z"
    assert (await ask_telnyx(simulation, f"/recordings/{CALL_ID}")).json["data"][
        "recording_ended_at"
    ] == "2026-03-10T11:00:00.962Z"


async def test_nulls_can_be_left_out(simulation, world):
    world.add([telnyx_recording(completed_at=NOON + timedelta(hours=1))])
    with_nulls = (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")).json["data"]
    simulation.behaviour.omit_nulls = True
    without = (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")).json["data"]

    assert set(with_nulls) - set(without) == {"ended_at", "completed_at", "download_url", "duration_secs", "size_mb"}


async def test_any_field_can_be_made_anything(simulation, world):
    world.replace(TELNYX_ID, extra={"id": None, "download_url": "javascript:alert(1)", "new_field": [1]}, status="archiving")
    item = (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")).json["data"]

    assert (item["id"], item["download_url"], item["new_field"], item["status"]) == (
        None,
        "javascript:alert(1)",
        [1],
        "archiving",
    )


async def test_names_leave_as_json_whatever_is_in_them(simulation, world):
    room_id = world.recordings[TELNYX_ID].room_id
    for name in ("a\x00b", "lone \ud800", "\u202e", "</script>", "x" * 10_000):
        world.rooms[room_id] = type(world.rooms[room_id])(id=room_id, name=name, created_at=NOON - timedelta(days=1))
        answer = await ask_telnyx(simulation, f"/rooms/{room_id}")
        assert answer.json["data"]["unique_name"] == name
        assert answer.body.isascii()


async def test_several_calls_are_deleted_at_once_and_the_request_is_remembered(simulation, world):
    body = json.dumps({"ids": [CALL_ID]}).encode()

    assert (await ask_telnyx(simulation, "/recordings/actions/delete", method="POST", body=b"x")).status == 400
    answer = await ask_telnyx(simulation, "/recordings/actions/delete", method="POST", body=body)
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert (await ask_telnyx(simulation, "/recordings/actions/delete", method="POST", body=body)).status == 404
    assert world.bulk_deletions == ["/v2/recordings/actions/delete"] * 3


async def test_the_bulk_deletion_without_a_filter_takes_everything(simulation, world):
    answer = await ask_telnyx(simulation, "/room_recordings", method="DELETE")

    assert (answer.status, answer.json) == (201, {"data": {"room_recordings": 1}})
    assert world.bulk_deletions == ["/v2/room_recordings"]
    assert (await ask_telnyx(simulation, f"/room_recordings/{TELNYX_ID}")).status == 404
