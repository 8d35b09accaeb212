"""The tables of requests that providers may be sent: whole, short, and without a way to delete more than one recording (trap 7)."""

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain.errors import UrlRefused
from archiver.domain.recording import RecordingRef
from archiver.providers import telnyx_calls, telnyx_rooms, twilio_video
from tests.providers.stage import ROOM_UUID, RT, Clock, options

MODULES = (telnyx_rooms, telnyx_calls, twilio_video)
PROVIDERS = (telnyx_rooms.TelnyxRooms, telnyx_calls.TelnyxCalls, twilio_video.TwilioVideo)
EVERY = pytest.mark.parametrize("module", MODULES, ids=[module.__name__.rpartition(".")[2] for module in MODULES])


def the_api(provider):
    return provider._api if hasattr(provider, "_api") else provider._telnyx.api


def test_the_tables_hold_these_requests_and_no_others():
    uuid, call, sid, room = (
        telnyx_rooms.UUID.pattern,
        telnyx_calls._ID.pattern,
        twilio_video._SID.pattern,
        twilio_video._ROOM.pattern,
    )
    assert {(route.method, route.path.pattern) for module in MODULES for route in module.ROUTES} == {
        ("GET", "/v2/room_recordings"), ("GET", f"/v2/room_recordings/{uuid}"), ("DELETE", f"/v2/room_recordings/{uuid}"), ("GET", f"/v2/rooms/{uuid}"),
        ("GET", "/v2/room_sessions"), ("GET", "/v1/Rooms"),
        ("GET", "/v2/recordings"), ("GET", f"/v2/recordings/{call}"), ("DELETE", f"/v2/recordings/{call}"),
        ("GET", "/v1/Recordings"), ("GET", f"/v1/Recordings/{sid}"), ("GET", f"/v1/Recordings/{sid}/Media"), ("DELETE", f"/v1/Recordings/{sid}"),
        ("GET", f"/v1/Rooms/{room}"),
    }  # fmt: skip


@EVERY
@pytest.mark.parametrize(
    "path",
    [
        "/v2/room_recordings",
        "/v2/room_recordings/",
        "/v2/recordings",
        "/v2/recordings/",
        "/v1/Recordings",
        "/v1/Recordings/",
        "/v2/recordings/actions/delete",
        "/v2/rooms",
        f"/v2/rooms/{ROOM_UUID}",
        "/v1/Rooms/RM" + "a" * 32,
        f"/v1/Recordings/{RT}/Media",
        "/",
        "",
    ],
)
def test_nothing_but_one_recording_can_be_deleted(module, path):
    assert not any(route.path.fullmatch(path) for route in module.ROUTES if route.method == "DELETE")


@EVERY
@given(data=st.data())
def test_whatever_may_be_deleted_is_named_by_one_id_at_the_end_of_its_path(module, data):
    [deletion] = [route for route in module.ROUTES if route.method == "DELETE"]
    path = data.draw(st.from_regex(deletion.path, fullmatch=True))
    assert re.fullmatch(r"/v[12]/(room_recordings|recordings|Recordings)/[A-Za-z0-9-]+", path, re.ASCII)


@pytest.mark.parametrize("kind", PROVIDERS)
@given(text=st.text(max_size=50) | st.from_regex(r"[/?#%.&=\[\]a-f0-9-]{0,40}", fullmatch=True))
def test_any_text_as_an_id_makes_a_request_about_one_recording_or_none(kind, text):
    api = the_api(kind(options(), Clock()))
    collection = next(route.path.pattern for route in inspect.getmodule(kind).ROUTES if route.endpoint == "list")
    path = f"{collection}/{text}"
    try:
        _, url = api._url("DELETE", path, ())
    except UrlRefused:
        return
    assert url.raw_path == path
    assert url.raw_query_string == ""
    assert re.fullmatch(r"[A-Za-z0-9-]+", text, re.ASCII)


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_deletion_by_an_empty_id_is_refused_before_anything_is_opened(kind):
    provider = kind(options(), Clock())
    with pytest.raises(UrlRefused):
        await provider.delete(RecordingRef(source="src", recording_id=""))
    assert the_api(provider)._session is None
    await provider.aclose()
