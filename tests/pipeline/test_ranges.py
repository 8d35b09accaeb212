"""Several connections for one body: never other bytes than one connection brings, never a hole, never more memory than was lent."""

import asyncio
import hashlib
import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.domain import errors
from archiver.domain.ports import Resume
from archiver.pipeline.digest import RESUMABLE
from archiver.pipeline.spans import Rule
from tests.pipeline.clock import NOON, VirtualClock
from tests.pipeline.fake_provider import media_bytes
from tests.pipeline.limited_host import HOST, RULE, Fate, Worker
from tests.pipeline.stage import an_entry

SIZE = 20_000  # bytes; a part has 1000
ENTRY = an_entry(ended_at=NOON)
KEY = "rooms/2026/03/10/r1/media.ogg"
CHANGED, SLOW_DOWN = errors.MediaChanged("another file"), errors.RateLimited("429", wait=None)
WRONG = errors.MediaImplausible("200 to a range")


async def archived(worker, *, size=SIZE, entry=ENTRY, **how):
    """One transfer; the body that the host has, and the outcome."""
    body = worker.has(size=size, **how)
    outcome = await worker.transfer.archive(replace(entry, listed_size=size))
    return body, outcome


def parts(store):
    return [line for line in store.log if line.startswith("put_part")]


# -- the same bytes


async def alone():
    async with VirtualClock() as clock:
        worker = Worker(clock, connections=1)
        await archived(worker)
        return worker.clock.seconds, parts(worker.store), worker.provider.asked


async def test_a_slow_large_body_comes_several_times_as_fast_with_the_same_bytes_digest_and_parts(logged):
    seconds, plain, asked = await alone()
    async with VirtualClock() as clock:
        worker = Worker(clock, rule=replace(RULE, seconds=0.1))
        body, outcome = await archived(worker)
    assert worker.store.content(KEY) == body
    assert outcome.facts["sha256"] == hashlib.sha256(body).hexdigest()
    assert (parts(worker.store), asked) == (plain, [])
    assert worker.provider.most_open == 8
    assert seconds > 5 * clock.seconds
    assert worker.at_rest()
    (line,) = [line for line in logged if line["event"] == "ranges_begun"]
    assert (line["source"], line["host"], line["connections"]) == ("rooms", HOST, 8)
    assert "r1" not in str(line)


async def test_every_byte_is_asked_for_once_and_the_first_connection_is_given_up():
    async with VirtualClock() as clock:
        worker = Worker(clock)
        await archived(worker)
    asked = sorted(worker.provider.asked)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(asked))
    assert asked[-1][1] == SIZE
    assert worker.provider.calls["media r1"] == 1


FATES = st.one_of(
    st.builds(Fate, wait=st.floats(0, 0.5), chunk=st.integers(1, 150)),
    st.builds(Fate, cut=st.integers(0, 300), wait=st.floats(0, 0.1)),
    st.builds(Fate, cut=st.integers(0, 300), failure=st.none()),
    st.builds(Fate, more=st.integers(1, 100)),
    st.builds(Fate, refused=st.sampled_from([WRONG, SLOW_DOWN, CHANGED, errors.LinkExpired("403"), errors.ProviderUnavailable("reset")])),
)  # fmt: skip
RULES = st.builds(
    replace, st.just(RULE), least_span=st.integers(40, 300), most_span=st.integers(300, 3000), seconds=st.floats(0.001, 1.0),
    most=st.integers(2, 12), measured=st.integers(1, 2000), warm_up=st.integers(0, 2000), gain=st.sampled_from([0.0, 1.5]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    rule=RULES,
    fates=st.lists(st.builds(Fate, wait=st.floats(0, 0.5), chunk=st.integers(20, 150)), max_size=40),
    budget=st.integers(2_000, 20_000),
    chunk=st.integers(20, 900),
    connections=st.integers(1, 16),
)
def test_for_any_cut_of_spans_and_any_order_of_arrival_the_result_is_that_of_one_connection(
    rule, fates, budget, chunk, connections
):
    async def law():
        async with VirtualClock() as clock:
            worker = Worker(clock, rule=rule, budget=budget, connections=connections)
            worker.provider.fates = fates[:]
            body, outcome = await archived(worker, size=5_000, chunk=chunk)
        assert worker.store.content(KEY) == body
        assert outcome.facts["sha256"] == hashlib.sha256(body).hexdigest()
        assert len(parts(worker.store)) == 5
        assert worker.provider.calls["media r1"] == 1
        assert worker.provider.most_open <= min(rule.most, connections)
        assert worker.budget.least_free >= 0
        assert worker.at_rest()

    asyncio.run(law())


@settings(max_examples=120, deadline=None)
@given(rule=RULES, fates=st.lists(FATES, min_size=1, max_size=30), cut=st.lists(st.integers(1, 8_000), max_size=2))
def test_whatever_a_host_does_to_ranges_it_ends_with_the_right_bytes_or_a_named_error(rule, fates, cut):
    async def law():
        async with VirtualClock() as clock:
            worker = Worker(clock, rule=rule)
            worker.provider.fates = fates[:]
            body = worker.has(size=8_000, cut=cut[:])
            failure = None
            try:
                await worker.transfer.archive(replace(ENTRY, listed_size=8_000))
            except errors.ProviderError as error:
                failure = error
            assert [kept.body for kept in worker.store.objects.values()] == ([] if failure else [body])
            for upload in worker.store.begun.values():
                sent = b"".join(bytes(data) for _, data in upload.parts.values())
                assert body.startswith(sent)
            assert worker.budget.least_free >= 0
            assert worker.at_rest()

    asyncio.run(law())


# -- when


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("quick enough", {"wait": 0.0}),
        ("of unknown length", {"announce": False}),
        ("small", {"size": 800}),
    ],
)
async def test_a_body_that_is_quick_small_or_of_unknown_length_keeps_its_one_connection(what, changes):
    async with VirtualClock() as clock:
        worker = Worker(clock, rule=replace(RULE, floor=1e6))
        body, _ = await archived(worker, **changes)
    assert worker.store.content(KEY) == body, what
    assert worker.provider.asked == []


async def test_a_slow_store_opens_no_further_connections():
    async with VirtualClock() as clock:
        worker = Worker(clock, rule=replace(RULE, floor=6_000))  # the host brings 6,400 bytes a second
        worker.store._latency = 5.0
        await archived(worker)
    assert clock.seconds > 20 * 5.0
    assert worker.provider.asked == []


async def test_without_room_in_the_budget_there_is_one_connection():
    async with VirtualClock() as clock:
        worker = Worker(clock, budget=1_200)
        body, _ = await archived(worker)
    assert worker.store.content(KEY) == body
    assert worker.provider.asked == []
    assert worker.budget.most_lent == 0


async def test_where_several_connections_bring_no_more_than_one_did_they_go_again_and_do_not_come_back(logged):
    """As over a line that is full: eight connections have an eighth of it each."""
    async with VirtualClock() as clock:
        worker = Worker(clock, rule=replace(RULE, gain=1.5))
        worker.provider.fates = [Fate(wait=0.08) for _ in range(200)]
        body, _ = await archived(worker, size=60_000)
        asked = len(worker.provider.asked)
        assert worker.store.content(KEY) == body
        assert worker.provider.asked[-1][1] == 60_000
        assert asked < 60
        worker.provider.asked.clear()
        worker.store.objects.clear()
        await archived(worker, size=60_000)
        assert worker.provider.asked == []
        clock.advance(seconds=RULE.rest)
        worker.store.objects.clear()
        await archived(worker, size=60_000)
        assert worker.provider.asked != []
    assert [line["event"] for line in logged if line["event"].startswith("ranges")][:2] == ["ranges_begun", "ranges_ended"]


# -- what a host may do


@pytest.mark.parametrize("refusal", [WRONG, errors.LinkExpired("403"), errors.MediaUnavailable("404"), SLOW_DOWN])
async def test_a_host_that_refuses_ranges_costs_nothing_the_first_connection_goes_on(refusal):
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.provider.fates = [Fate(refused=refusal) for _ in range(50)]
        body, _ = await archived(worker)
    assert worker.store.content(KEY) == body
    assert worker.provider.calls["media r1"] == 1
    assert len(worker.provider.asked) == 7


async def test_one_refusal_among_honest_ranges_ends_them_all_and_the_rest_comes_over_one_connection():
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.provider.fates = [*[Fate() for _ in range(20)], Fate(refused=WRONG)]
        body, _ = await archived(worker)
    assert worker.store.content(KEY) == body
    assert worker.provider.calls["media r1"] == 1
    first, stop = worker.provider.asked[-1]
    assert (first, stop) == (worker.provider.asked[20][0], SIZE)


async def test_a_span_that_breaks_off_while_the_first_connection_is_there_ends_them_all():
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.provider.fates = [Fate(), Fate(cut=10, wait=0.001)]
        body, _ = await archived(worker)
    assert worker.store.content(KEY) == body
    assert worker.provider.calls["media r1"] == 1
    assert len(worker.provider.asked) <= 7 + 1  # with the second try of the one that broke off


async def test_after_a_request_to_slow_down_no_further_span_is_asked_for_and_the_host_is_left_alone_for_a_while():
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.provider.fates = [*[Fate(wait=0.01 + number / 1000) for number in range(20)], Fate(refused=SLOW_DOWN, wait=0.0)]
        body, _ = await archived(worker)
    assert worker.store.content(KEY) == body
    provider = worker.provider
    (last,) = [moment for moment in provider.asked_at if moment > provider.refused_at]
    assert last >= provider.refused_at + RULE.pause
    assert provider.asked[-1][1] == SIZE  # the rest, over one connection


@pytest.mark.parametrize("failure", [errors.ProviderUnavailable("reset"), errors.MediaIncomplete("cut"), None])
async def test_a_span_that_dies_is_gone_on_with_where_it_died(failure):
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.provider.fates = [
            *[Fate() for _ in range(14)],
            Fate(cut=70, failure=failure),
            Fate(),
            Fate(cut=30, failure=failure),
        ]
        body, _ = await archived(worker)
    asked = worker.provider.asked
    assert worker.store.content(KEY) == body
    assert (asked[14][0] + 70, asked[14][1]) in asked
    assert (asked[16][0] + 30, asked[16][1]) in asked
    assert worker.provider.most_open == 8
    assert worker.provider.calls["media r1"] == 1


async def test_a_span_that_dies_again_and_again_leaves_the_rest_to_one_connection():
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.provider.fates = [*[Fate() for _ in range(15)], *[Fate(cut=1) for _ in range(40)]]
        body = worker.has()
        outcome = await worker.transfer.archive(replace(ENTRY, listed_size=SIZE))
    assert worker.store.content(KEY) == body
    assert outcome.facts["size"] == SIZE


async def test_a_file_that_changes_in_the_middle_ends_the_attempt_and_the_next_one_has_the_new_bytes_alone():
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.has()
        file = worker.provider.files["r1", "media"]
        other = media_bytes(SIZE, "other")

        def change():
            if len(worker.provider.asked) == 15:
                file.body, file.etag = other, '"two"'

        worker.provider.on_span = change
        with pytest.raises(errors.MediaChanged, match=r"another file.*began anew"):
            await worker.transfer.archive(replace(ENTRY, listed_size=SIZE))
        assert worker.store.objects == {}
        assert worker.at_rest()
        await worker.transfer.archive(replace(worker.transfer.as_noted(ENTRY), listed_size=SIZE))
    assert worker.store.content(KEY) == other
    assert worker.store.begun == {}


async def test_a_host_whose_servers_disagree_about_the_etag_is_gone_on_with_over_one_connection():
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.provider.fates = [*[Fate() for _ in range(15)], Fate(refused=CHANGED)]
        body, _ = await archived(worker)
    assert worker.store.content(KEY) == body
    assert worker.provider.calls["media r1"] == 2  # the second look found the same file


async def test_an_error_that_nobody_expected_ends_the_attempt_and_holds_nothing():
    async with VirtualClock() as clock:
        worker = Worker(clock)
        worker.provider.fates = [*[Fate() for _ in range(12)], Fate(refused=ZeroDivisionError("a defect"))]
        worker.has()
        with pytest.raises(ZeroDivisionError):
            await worker.transfer.archive(replace(ENTRY, listed_size=SIZE))
        assert worker.at_rest()


# -- death and memory


@pytest.mark.skipif(not RESUMABLE, reason="this libcrypto's digests cannot be saved")
@pytest.mark.parametrize("sent", [1, 4, 9, 19])
async def test_cancelled_in_the_middle_it_leaves_what_one_connection_leaves_and_the_next_attempt_goes_on(sent):
    async with VirtualClock() as clock:
        worker = Worker(clock)
        body = worker.has()
        reached = asyncio.Event()
        worker.store.on["put_part"] = lambda _key: reached.set() if len(parts(worker.store)) == sent else None
        work = asyncio.create_task(worker.transfer.archive(replace(ENTRY, listed_size=SIZE)))
        await reached.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert worker.at_rest()
        noted = worker.transfer.as_noted(ENTRY)
        assert noted.upload["offset"] == 1000 * noted.upload["parts"] <= 1000 * sent
        opened = []
        provider, plain = worker.provider, worker.provider.open_media
        provider.open_media = lambda *given, resume=None: opened.append(resume) or plain(*given, resume=resume)
        outcome = await worker.transfer.archive(replace(noted, listed_size=SIZE))
    assert opened == [Resume(offset=noted.upload["offset"], validator='"one"')]
    assert worker.store.content(KEY) == body
    assert outcome.facts["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("budget", [2_500, 4_000, 9_000])
async def test_many_at_once_share_one_budget_and_all_come_to_an_end(budget):
    async with VirtualClock() as clock:
        worker = Worker(clock, budget=budget, connections=16)
        worker.store._latency = 0.05
        names = [f"r{number}" for number in range(12)]
        bodies = {name: worker.has(name, 6_000) for name in names}
        entries = [replace(ENTRY, id=number, recording_id=name, listed_size=6_000) for number, name in enumerate(names)]
        await asyncio.gather(*(worker.transfer.archive(entry) for entry in entries))
    assert {worker.store.content(f"rooms/2026/03/10/{name}/media.ogg") for name in names} == set(bodies.values())
    assert worker.budget.least_free >= 0
    assert worker.budget.most_lent <= worker.ranges.lendable <= budget - 1000
    assert worker.provider.most_open <= 16
    assert worker.at_rest()


async def test_one_body_gives_way_when_others_begin_so_that_there_are_never_many_more_connections_than_transfers_allowed():
    async with VirtualClock() as clock:
        worker = Worker(clock, budget=200_000)
        names = [f"r{number}" for number in range(5)]
        bodies = {name: worker.has(name, 60_000) for name in names}
        entries = [replace(ENTRY, id=number, recording_id=name, listed_size=60_000) for number, name in enumerate(names)]
        first = asyncio.create_task(worker.transfer.archive(entries[0]))
        await clock.sleep(0.3)
        assert worker.provider.open_now == 8
        others = [asyncio.create_task(worker.transfer.archive(entry)) for entry in entries[1:]]
        await clock.sleep(0.3)
        worker.provider.most_open = 0
        await asyncio.gather(first, *others)
    assert worker.provider.most_open <= 8
    assert all(worker.store.content(f"rooms/2026/03/10/{name}/media.ogg") == body for name, body in bodies.items())


async def test_what_waits_to_be_handed_on_is_never_more_than_was_lent():
    async with VirtualClock() as clock:
        worker = Worker(clock, budget=5_000)
        worker.has()
        taken = ahead = 0
        async with worker.provider.open_media(replace(ENTRY), "media") as media:
            chunks = worker.ranges.chunks(media, "rooms")
            async for chunk in chunks:
                taken += len(chunk)
                await clock.sleep(0.3)  # whoever reads is slow, and the host has time to send ahead
                ahead = max(ahead, max((stop for _, stop in worker.provider.asked), default=0) - taken)
            await chunks.aclose()
        assert taken == SIZE
        assert ahead <= 3_000 + RULE.most_span  # the budget without a part for it and one for whoever comes next
        assert worker.budget.most_lent <= 3_000


async def test_the_bandwidth_of_the_process_holds_for_all_connections_together():
    async with VirtualClock() as clock:
        worker = Worker(clock, rate=10_000)
        await archived(worker, size=60_000)
    assert clock.seconds >= 60_000 / 10_000 - 1.5  # a second's worth may go at once


async def test_the_constants_are_those_that_the_pages_name():
    rule = Rule()
    assert (rule.most, rule.floor, rule.least_left) == (8, 50 * 2**20, 64 * 2**20)
    assert (rule.least_span, rule.most_span, rule.rest) == (2 * 2**20, 8 * 2**20, 600.0)
