"""What providers say took place, beside what they say was recorded."""

from datetime import UTC, datetime, timedelta

import pytest

from archiver.domain.errors import ContractBroken
from archiver.domain.recording import Room
from archiver.providers.witness import recorded, room_questions, telnyx_sessions

SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)


class Api:
    """Answers pages of sessions and notes what was asked."""

    def __init__(self, *pages):
        self.pages = pages
        self.asked = []

    async def get(self, path, query):
        self.asked.append((path, dict(query)))
        number = int(dict(query)["page[number]"])
        return {"data": self.pages[number - 1], "meta": {"page_number": number, "total_pages": len(self.pages)}}


def session(number, ended):
    return {"id": f"s{number}", "room_id": f"r{number}", "ended_at": ended}


async def test_sessions_of_all_pages_count_and_the_instants_decide_over_whole_dates():
    api = Api(
        [session(1, "2026-03-01T00:00:00.000000Z")],
        [session(2, "2026-03-03T00:00:00.000000Z"), session(3, "2026-03-02T23:59:59Z")],
    )
    found = await telnyx_sessions(api, "rooms", SINCE, UNTIL)
    assert [item["session_id"] for item in found] == ["s1", "s3"]
    assert [query["page[number]"] for _path, query in api.asked] == ["1", "2"]
    assert api.asked[0][1]["filter[date_ended_at][gte]"] == "2026-03-01"


@pytest.mark.parametrize("payload", [None, [], {"data": {}}, {"data": [1], "meta": {"total_pages": 1}}, {"data": [], "meta": {}}])
async def test_a_list_of_sessions_without_the_documented_shape_is_refused(payload):
    class Odd:
        async def get(self, _path, _query):
            return payload

    with pytest.raises(ContractBroken):
        await telnyx_sessions(Odd(), "rooms", SINCE, UNTIL)


def test_a_room_that_never_recorded_raises_no_question_and_one_that_is_gone_does():
    assert recorded(Room(room_id="r", name="", raw={"enable_recording": True}))
    assert recorded(None)
    assert not recorded(Room(room_id="r", name="", raw={"enable_recording": False}))


def test_every_twilio_room_is_a_sighting_with_what_it_says_of_recording():
    (seen,) = room_questions([{"sid": "RM1", "date_created": "2026-03-01T00:00:00Z", "record_participants_on_connect": False}])
    assert (seen["room_id"], seen["recording_on"]) == ("RM1", False)
    assert timedelta(days=2) == UNTIL - SINCE
