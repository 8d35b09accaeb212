"""The simulated Twilio where the SDK does not go: refusals, tokens, page URLs, paths and encodings."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from archiver.simulator.server import serve
from tests.simulator.stage import NOON, ROOM_SID, TWILIO_ID, ask, ask_twilio, small_world, twilio_headers, twilio_recording


def inside(simulation, url):
    """A page URL as a path below /v1."""
    assert url.startswith(simulation.twilio_url + "/v1/")
    return url.removeprefix(simulation.twilio_url + "/v1")


@pytest.fixture
def many(world):
    world.add([twilio_recording(f"RT{number:032x}", ended_at=NOON - timedelta(minutes=5 + number)) for number in range(24)])


async def test_without_credentials_every_path_is_401_in_twilios_words(simulation):
    for path in ("/v1/Recordings", "/v1/nothing"):
        answer = await ask(simulation.twilio_url + path)
        assert (answer.status, answer.json["code"], answer.json["message"]) == (401, 20003, "Authenticate")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/Recordings/RE123",
        f"/Recordings/RT{'0' * 32}",
        "/Compositions",
        f"/Rooms/RM{'0' * 32}/Recordings/{TWILIO_ID}",
    ],
)
async def test_what_twilio_does_not_have_is_404(simulation, path):
    answer = await ask_twilio(simulation, path)

    assert answer.status == 404
    assert answer.json == {
        "code": 20404,
        "message": f"The requested resource /v1{path} was not found",
        "more_info": "https://www.twilio.com/docs/errors/20404",
        "status": 404,
    }


REFUSED = {
    "PageSize=101": 20007,
    "PageSize=0": 20001,
    "PageSize=x": 20001,
    "Page=-1": 20001,
    "Status=Completed": 20001,
    "MediaType=text": 20001,
    "DateCreatedAfter=2026-03-10": 20001,
    "DateCreatedAfter=2026-03-10T12:00:00": 20001,
    "DateCreatedBefore=2026-02-30T12:00:00Z": 20001,
    "PageToken=PTabc": 21481,
    "PageToken=x": 21481,
    "PageToken=": 21481,
}


@pytest.mark.parametrize("query", REFUSED)
async def test_what_the_list_does_not_take_is_400(simulation, query):
    answer = await ask_twilio(simulation, f"/Recordings?{query}")

    assert (answer.status, answer.json["code"]) == (400, REFUSED[query])


async def test_a_token_of_the_api_is_opaque_and_cannot_be_altered(simulation, many):
    url = (await ask_twilio(simulation, "/Recordings?PageSize=5")).json["meta"]["next_page_url"]
    token = parse_qs(urlsplit(url).query)["PageToken"][0]

    assert TWILIO_ID not in token
    for forged in (token[:-4] + "AAAA", "PT" + token[6:], token + "AAAA"):
        assert (await ask_twilio(simulation, f"/Recordings?PageSize=5&PageToken={forged}")).json["code"] == 21481


async def test_page_is_the_clients_own_note_without_a_token(simulation, many):
    first, noted = [(await ask_twilio(simulation, f"/Recordings?PageSize=5{more}")).json for more in ("", "&Page=3")]

    assert first["recordings"] == noted["recordings"]
    assert noted["meta"]["page"] == 0


async def test_page_urls_are_absolute_keep_the_filters_and_lead_there_and_back(simulation, many):
    first = (await ask_twilio(simulation, "/Recordings?PageSize=10&Status=completed&GroupingSid=" + ROOM_SID)).json
    second = (await ask_twilio(simulation, inside(simulation, first["meta"]["next_page_url"]))).json
    third = (await ask_twilio(simulation, inside(simulation, second["meta"]["next_page_url"]))).json
    back = (await ask_twilio(simulation, inside(simulation, third["meta"]["previous_page_url"]))).json
    start = (await ask_twilio(simulation, inside(simulation, back["meta"]["previous_page_url"]))).json

    assert [page["meta"]["page"] for page in (first, second, third, back, start)] == [0, 1, 2, 1, 0]
    assert [len(page["recordings"]) for page in (first, second, third)] == [10, 10, 5]
    assert back["recordings"] == second["recordings"]
    assert start["recordings"] == first["recordings"]
    assert first["meta"]["previous_page_url"] is third["meta"]["next_page_url"] is None
    assert parse_qs(urlsplit(first["meta"]["next_page_url"]).query)["Status"] == ["completed"]
    assert (await ask_twilio(simulation, inside(simulation, third["meta"]["url"]))).json["recordings"] == third["recordings"]


async def test_a_list_that_ends_with_a_full_page_has_no_next_one(simulation, many):
    page = (await ask_twilio(simulation, "/Recordings?PageSize=25")).json

    assert len(page["recordings"]) == 25
    assert page["meta"]["next_page_url"] is None


async def test_urls_name_the_host_that_the_client_spoke_to(simulation, many):
    headers = {**twilio_headers(simulation), "Host": "localhost:1234"}
    page = (await ask(simulation.twilio_url + "/v1/Recordings?PageSize=1", headers=headers)).json

    assert page["meta"]["next_page_url"].startswith("http://localhost:1234/v1/Recordings?")
    assert page["recordings"][0]["links"]["media"].startswith("http://localhost:1234/v1/Recordings/RT")


async def test_parameters_are_case_sensitive_and_unknown_ones_ignored(simulation, many):
    for query in ("status=deleted", "pagesize=1", "datecreatedafter=x", "EndedAfter=2030-01-01T00:00:00Z"):
        assert len((await ask_twilio(simulation, f"/Recordings?{query}")).json["recordings"]) == 25


@pytest.mark.parametrize(("zone", "found"), [("Z", 1), ("%2B01:00", 2), ("-01:00", 0)])
async def test_the_zone_of_a_window_counts(simulation, world, zone, found):
    world.remove(TWILIO_ID)
    for number, minutes in enumerate((0, 30)):
        world.add([twilio_recording(f"RT{number:032x}", started_at=NOON - timedelta(minutes=minutes))])
    answer = await ask_twilio(simulation, f"/Recordings?DateCreatedAfter=2026-03-10T12:00:00{zone}")

    assert len(answer.json["recordings"]) == found


async def test_a_room_has_its_own_shape_of_recording(simulation):
    in_room = (await ask_twilio(simulation, f"/Rooms/{ROOM_SID}/Recordings/{TWILIO_ID}")).json
    alone = (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}")).json

    assert set(in_room) - set(alone) == {"room_sid"}
    assert set(alone) - set(in_room) == {"status_callback", "status_callback_method"}
    assert in_room["links"]["media"].endswith(f"/v1/Rooms/{ROOM_SID}/Recordings/{TWILIO_ID}/Media")


async def test_a_download_is_an_attachment_unless_it_is_asked_for_inline(simulation):
    kinds = []
    for query in ("", "?ContentDisposition=inline"):
        url = (await ask_twilio(simulation, f"/Recordings/{TWILIO_ID}/Media{query}")).json["redirect_to"]
        kinds.append((await ask(url)).header("Content-Disposition"))

    assert kinds == [f'attachment; filename="{TWILIO_ID}.mka"', "inline"]


async def test_tokens_hold_with_the_oldest_first_as_well(clock):
    recordings = [twilio_recording(f"RT{number:032x}", ended_at=NOON - timedelta(minutes=5 + number)) for number in range(25)]
    found, url = [], "/Recordings?PageSize=7"
    async with serve(small_world(clock, *recordings, newest_first=False)) as simulation:
        while url:
            page = (await ask_twilio(simulation, url)).json
            found += [item["sid"] for item in page["recordings"]]
            url = page["meta"]["next_page_url"] and inside(simulation, page["meta"]["next_page_url"])

    assert found == [each.id for each in reversed(recordings)]
