"""Whatever goes wrong, no credential and no signature leaves in an error, a log line or a stored value (I22, S5, G23)."""

import asyncio
import json
import logging

import pytest

from archiver.domain.errors import ArchiverError
from archiver.simulator import actions, body_actions, page_actions
from tests.providers.simulated import KINDS, simulated
from tests.providers.stage import texts_of, until

FAULTS = {
    **{f"status {code}": actions.status(code) for code in (204, 301, 302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503)},
    **{
        f"garbled {how}": page_actions.garbled(how)
        for how in ("truncated", "not json", "empty", "deep", "duplicate keys", "no list", "no meta", "null")
    },
    **{
        f"link {number}": page_actions.links_to(url)
        for number, url in enumerate(
            ("http://evil.example/x?X-Amz-Signature=1", "https://user:X-Amz-x@h/x", "file:///X-Amz-", "x" * 9_000)
        )
    },
    **{f"cut {after}": actions.cut(after) for after in (0, 1, 0.5, -1)},
    "reset": actions.cut(0.5, ending="rst"),
    "no answer": actions.no_answer(),
    "no answer, reset": actions.no_answer(ending="rst"),
    "unterminated": actions.chunked(0.5, terminated=False),
    "two lengths": actions.head_lines("Content-Length: 5", "Content-Length: 6"),
    "long line": actions.head_lines("X-Long: " + "X-Amz-Signature=" * 2_000),
    "html": body_actions.instead("html"),
    "gzip": body_actions.gzipped(),
    "partial": body_actions.partial(),
    "elsewhere": actions.redirect("http://evil.example/x?X-Amz-Signature=1"),
    "next page": page_actions.next_page_at("https://evil.example"),
    "stuck": page_actions.stuck(),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_no_fault_brings_a_secret_to_light(kind, caplog):
    caplog.set_level(logging.DEBUG)
    failures, values = [], []
    async with simulated(kind) as on:
        recording = on.add()
        known = on.simulation.credentials
        for fault in FAULTS.values():
            for place in ("any", "media"):
                on.simulation.faults.clear()
                on.fault(fault, on=place)
                for ask in (
                    on.walk,
                    on.provider.check,
                    lambda: on.provider.get(on.ref(recording)),
                    lambda: on.download(recording),
                ):
                    try:
                        values.append(await ask())
                    except (ArchiverError, AssertionError) as failure:
                        failures.append(failure)
                await on.clock.sleep(1_000)
    assert len(failures) > 100
    shown = "\n".join(map(texts_of, failures))
    kept = json.dumps([repr(value) for value in values if not isinstance(value, tuple)])
    logged = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("aiohttp.server", "aiohttp.access"))
    )
    for secret in (
        "X-Amz-Signature",
        "X-Amz-Credential",
        known.api_key,
        known.auth_token,
        known.api_key_secret,
        "Bearer ",
        "Basic ",
    ):
        for text in (shown, kept, logged):
            assert secret not in text
    assert {type(failure).__module__ for failure in failures} == {"archiver.domain.errors"}


async def test_a_cancelled_request_leaves_nothing_open_and_nothing_said():
    async with simulated("telnyx-rooms") as on:
        recording = on.add()
        on.fault(actions.hang(), on="any")
        task = asyncio.create_task(on.provider.get(on.ref(recording)))
        await until(lambda: on.simulation.audit)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
