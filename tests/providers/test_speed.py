"""What parsing and streaming cost, with room for a slow machine; the figures themselves are in benchmarks."""

import json
import time
import uuid

from aiohttp import web

from archiver.providers import telnyx, twilio
from archiver.providers.bodies import decode
from tests.providers.stage import a_media_client, serving
from tests.providers.test_parsing import SAMPLES, read_room, read_track


def best_of(work, times=7):
    spent = []
    for _ in range(times):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def test_a_page_of_250_recordings_is_parsed_in_a_few_milliseconds():
    rows = [{**SAMPLES["telnyx_list"]["data"][0], "id": str(uuid.UUID(int=number))} for number in range(250)]
    payload = {"data": rows, "meta": {"page_number": 1, "page_size": 250, "total_pages": 1, "total_results": 250}}
    body = json.dumps(payload).encode()
    spent = best_of(lambda: telnyx.parse_page(decode(body), requested=1, read=read_room))
    print(f"telnyx: {spent * 1000:.2f} ms")
    assert spent < 0.012
    rows = [{**SAMPLES["twilio_list"]["recordings"][0], "sid": f"RT{number:032x}"} for number in range(250)]
    body = json.dumps({"recordings": rows, "meta": {"next_page_url": None}}).encode()
    spent = best_of(lambda: twilio.parse_page(decode(body), key="recordings", read=read_track))
    print(f"twilio: {spent * 1000:.2f} ms")
    assert spent < 0.012


async def test_streaming_adds_next_to_nothing_to_the_library_under_it():
    body = b"OggS" + bytes(32 * 2**20)
    async with serving(lambda _: web.Response(body=body)) as server, a_media_client(server.host) as client:
        received = chunks = 0
        began = time.process_time()
        opened = await client.open(f"{server.url}/x")
        async for chunk in opened.media.chunks:
            received += len(chunk)
            chunks += 1
        await opened.aclose()
        spent = time.process_time() - began
    print(f"{received / 2**20 / spent:.0f} MiB per CPU second, both ends, {received // chunks} bytes a chunk")
    assert received == len(body)
    assert received / chunks > 16 * 1024
