"""What `status` says: every number from one statement, every trouble in a sentence (I20, I25)."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
import sqlalchemy as sa

from archiver.catalog import reports
from archiver.catalog.tables import renditions
from archiver.domain.lifecycle import Event
from archiver.domain.recording import ProviderStatus, Rejected, State
from archiver.domain.work import PRIORITY_BACKFILL, Outcome
from tests.catalog.test_passes import DAYS, a_day, a_pass
from tests.catalog.world import KIND, NOON, SOURCE, a_listing, failed_once, processing, stored


@dataclass(frozen=True)
class Configured:
    name: str = SOURCE
    provider: str = KIND
    poll_every: timedelta = timedelta(minutes=5)


ROOMS = Configured()
CALLS = Configured(name="calls", provider="telnyx-calls")


async def status(world, *configured):
    async with world.you.database.read() as conn:
        return await reports.status(conn, world.clock.now, configured or [ROOMS])


async def of(world, name=SOURCE):
    (part,) = [part for part in (await status(world))["sources"] if part["name"] == name]
    return part


async def polled(world, source=SOURCE, **changes):
    await world.me.finish_pass(source, KIND, [a_pass(started_at=world.clock.now, **changes)], watermark=world.clock.now)


async def test_the_document_has_what_users_hold_on_to(world):
    await polled(world)
    await world.verified()
    found = await status(world)
    assert {"schema", "generated_at", "sources", "totals", "ready", "problems"} <= set(found)
    assert (found["schema"], found["generated_at"], found["ready"]) == ("archiver.status/1", "2026-03-02T12:00:00Z", True)
    promised = {"name", "provider", "states", "oldest_unarchived_seconds", "last_complete_pass", "covered_since"}
    promised |= {"lateness_p99_seconds", "lost", "failing"}
    (part,) = found["sources"]
    assert promised <= set(part)
    assert (part["last_complete_pass"], part["covered_since"]) == ("2026-03-02T12:00:00Z", "2026-02-27T00:00:00Z")
    assert part["states"] == {state.value: int(state is State.VERIFIED) for state in State}
    assert found["totals"] == part["states"]


async def test_counts_add_up_over_sources_and_states(world):
    for number, state in enumerate(State):
        for copy in range(number % 3 + 1):
            await world.put(f"{state}-{copy}", state, source=(SOURCE, "calls", "gone")[copy % 3])
    found = await status(world, ROOMS, CALLS)
    assert [part["name"] for part in found["sources"]] == [SOURCE, "calls", "gone"]
    assert [part["configured"] for part in found["sources"]] == [True, True, False]
    assert found["totals"] == {state.value: number % 3 + 1 for number, state in enumerate(State)}
    for state in State:
        assert sum(part["states"][state] for part in found["sources"]) == found["totals"][state]
    assert sum(found["totals"].values()) == await world.count(renditions)
    assert sum(part["lost"] for part in found["sources"]) == found["totals"]["lost"]


async def test_metrics_and_status_count_the_same(world):
    await world.put("r1", State.FAILED)
    async with world.you.database.read() as conn:
        counts = await reports.state_counts(conn)
    assert counts == {SOURCE: (await of(world))["states"]}
    assert list(counts[SOURCE]) == [state.value for state in State]


async def test_an_empty_catalog_and_a_source_that_was_never_polled_are_reported(world):
    found = await status(world)
    (part,) = found["sources"]
    assert (part["last_complete_pass"], part["oldest_unarchived_seconds"], part["lateness_p99_seconds"]) == (None, None, None)
    assert sum(part["states"].values()) == part["failing"] == part["forecast_seconds"] == 0
    assert not found["ready"]
    assert found["problems"] == ["rooms: no complete pass yet, one is expected every 5m"]


async def test_freshness_is_the_age_of_the_oldest_that_is_not_archived(world):
    await world.verified("done")
    await world.lists(a_listing("younger", ended_at=NOON - timedelta(minutes=1)))
    assert (await of(world))["oldest_unarchived_seconds"] == 60
    await world.put("failed", State.FAILED)
    assert (await of(world))["oldest_unarchived_seconds"] == 3600
    world.clock.advance(hours=1)
    await world.lists(processing("open"))
    assert (await of(world))["oldest_unarchived_seconds"] == 7200
    for state in (State.LOST, State.EXTERNAL, State.UNAVAILABLE, State.STORED, State.EXPIRED, State.DAMAGED):
        await world.put(f"no-{state}", state, source="calls")
    async with world.you.database.read() as conn:
        assert "calls" not in await reports.oldest_unarchived(conn, world.clock.now)


async def test_what_has_no_end_is_as_old_as_our_knowledge_of_it_and_what_ends_in_the_future_is_not_old(world):
    await world.lists(processing("open"))
    world.clock.advance(seconds=90)
    assert (await of(world))["oldest_unarchived_seconds"] == 90
    await world.lists(a_listing("later", ended_at=NOON + timedelta(days=365 * 73)), source="calls")
    async with world.you.database.read() as conn:
        assert (await reports.oldest_unarchived(conn, world.clock.now))["calls"] == 0


async def test_lateness_is_that_of_live_recordings_since_the_first_poll(world):
    await polled(world)
    world.clock.advance(hours=1)
    lates = {f"r{n}": n for n in range(1, 101)}
    await world.lists(*(a_listing(name, ended_at=world.clock.now - timedelta(seconds=late)) for name, late in lates.items()))
    await world.me.add_page(SOURCE, KIND, [a_listing("history", ended_at=world.clock.now)], priority=PRIORITY_BACKFILL)
    await world.lists(
        a_listing("before", ended_at=NOON - timedelta(days=9)), a_listing("2099", ended_at=NOON + timedelta(days=365 * 73))
    )
    entries = await world.me.claim(200, sources=[SOURCE])
    await world.me.save([stored(entry) for entry in entries])
    assert (await of(world))["lateness_p99_seconds"] == 99
    world.clock.advance(days=31)
    assert (await of(world))["lateness_p99_seconds"] is None


@pytest.mark.parametrize(("values", "p99"), [([], None), ([7], 7), (range(1, 101), 99), (range(1, 102), 100), ([5, 1, 9], 9)])
def test_a_percentile_is_a_value_that_occurred(values, p99):
    assert reports.percentile(values, 99) == p99


async def test_failing_are_those_whose_last_attempt_failed(world):
    entries = await world.claimed("again", "parked", "fine", "fresh", "checked")
    named = {entry.recording_id: entry for entry in entries}
    await world.me.save(
        [
            failed_once(named["again"]),
            Outcome(entry=named["parked"], event=Event.FAILED, reason="no", kind="UrlRefused"),
            failed_once(named["fine"]),
            Outcome(entry=named["fresh"], event=Event.RELEASED),
            stored(named["checked"]),
        ]
    )
    (fine,) = [entry for entry in await world.me.claim(5, sources=[SOURCE]) if entry.recording_id == "fine"]
    await world.me.save([stored(fine)])
    assert (await of(world))["failing"] == 2


async def test_the_forecast_goes_by_the_pace_of_the_last_hour(world):
    await world.lists(*(a_listing(f"r{n}") for n in range(30)))
    for _ in range(2):
        world.clock.advance(seconds=50)
        await world.me.save([stored(entry) for entry in await world.me.claim(5, sources=[SOURCE])])
    world.clock.advance(seconds=50)
    assert (await of(world))["forecast_seconds"] == pytest.approx(20 / (10 / 100))
    world.clock.advance(hours=2)
    assert (await of(world))["forecast_seconds"] is None


# -- problems


async def test_a_source_without_a_complete_pass_for_two_intervals_is_stalled(world):
    await polled(world)
    world.clock.advance(minutes=10)
    assert (await status(world))["ready"]
    world.clock.advance(seconds=1)
    await world.me.record_problem(SOURCE, KIND, "500 from the provider")
    found = await status(world)
    assert not found["ready"]
    says = "rooms: no complete pass since 2026-03-02T12:00:00Z, one is expected every 5m; the last one: 500 from the provider"
    assert found["problems"][0] == says


async def test_a_source_that_is_no_longer_configured_does_not_make_anything_unready(world):
    await polled(world)
    await polled(world, source="gone")
    world.clock.advance(minutes=6)
    await polled(world)
    world.clock.advance(minutes=6)
    assert (await status(world))["ready"]


async def test_every_trouble_is_a_sentence_with_its_count_and_its_remedy(world):
    await polled(world)
    await world.me.record_problem(SOURCE, KIND, "9 announced, 8 listed")
    await world.put("lost", State.LOST)
    await world.put("damaged", State.DAMAGED)
    for number in range(3):
        await world.put(f"failed{number}", State.FAILED, error_kind="MediaIncomplete" if number else "UrlRefused")
    odd = {"status": ProviderStatus.UNKNOWN, "status_raw": "arch\x1bived"}
    await world.lists(a_listing("odd1", **odd), a_listing("odd2", **odd), rejected=[Rejected(reason="x", raw="{}")])
    since = "2026-02-27T00:00:00Z"
    assert (await status(world))["problems"] == [
        "rooms: the last pass: 9 announced, 8 listed",
        "rooms: 1 lost: the provider deleted them before they were archived",
        "rooms: 1 damaged: gone from the archive, or not the same; hint: archiver repair",
        "rooms: 3 failed (2 MediaIncomplete, 1 UrlRefused); hint: archiver retry --all-failed",
        "rooms: 2 wait with the provider status 'arch\\x1bived', which this program does not know",
        "rooms: 1 listed rows could not be catalogued and are kept in quarantine",
        f"rooms: nothing that ended before {since} has been listed; hint: archiver backfill --since … --until {since}",
    ]


async def test_whoever_has_backfilled_is_not_told_to(world):
    await polled(world)
    day = DAYS.first - timedelta(days=1)
    await world.me.finish_slice(SOURCE, KIND, day, a_day(day))
    assert (await status(world))["problems"] == []


# -- what it costs


async def explained(lite, act):
    """The plans of every statement that `act` executes, by statement."""
    seen = []
    engine = lite.you.database._engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    await act()
    plans = {}
    async with lite.me.database.read() as conn:
        for statement, parameters in seen:
            if statement.lstrip().startswith(("SELECT", "UPDATE", "WITH")):
                rows = (await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()
                plans[statement] = [row[3] for row in rows]
    return plans


def scanned(plans):
    """Whole tables that are read, or all rows of a source, and not only an index or one on open states alone."""
    partial = ("COVERING INDEX", "ix_renditions_transferring", "ix_renditions_stored", "ix_recordings_open")
    steps = {step for steps in plans.values() for step in steps}
    long = {
        step
        for step in steps
        if step.startswith("SCAN") or step.endswith(("source_room_id (source=?)", "_state (source=?)", "_at (source=?)"))
    }
    return {step for step in long if not any(name in step for name in partial)}


async def test_status_reads_no_table_from_end_to_end_but_the_small_ones(lite):
    await polled(lite)
    await lite.verified(*(f"r{n}" for n in range(300)))
    plans = await explained(lite, lambda: status(lite))
    allowed = {
        "SCAN tallies",
        "SCAN sources",
        "SCAN anon_1",
        "SCAN (subquery-2)",
        "SCAN ledger",  # its end, backwards, by its limit
    }
    assert {step for step in scanned(plans) if not step.startswith(tuple(allowed))} == set()
    (ledger_query,) = [text for text, steps in plans.items() if "SCAN ledger" in steps]
    assert "ORDER BY ledger.id DESC" in ledger_query
    assert "LIMIT" in ledger_query


SMALL = (
    "SCAN workers",
    "SCAN leases",
    "SCAN sources",
    "SCAN holds",
    "SCAN CONSTANT ROW",
    "SCAN json_each",  # a statement's own parameter
    "SCAN (subquery",
)  # a row for each process, source or case, or what was just read


async def test_claims_outcomes_pages_and_polls_read_no_table_from_end_to_end(lite):
    await lite.verified(*(f"r{n}" for n in range(300)))

    async def work():
        you = lite.you
        await you.enter()
        await you.add_page(SOURCE, KIND, [a_listing("new", room_id="a"), a_listing("r1", codec="x")])
        await you.save([stored(entry) for entry in await you.claim(5, sources=[SOURCE, "calls"])])
        await you.save([Outcome(entry=entry, event=Event.VERIFIED) for entry in await you.claim_stored(5, sources=[SOURCE])])
        await you.claim(1, sources=[SOURCE])
        await you.heartbeat()
        await you.hand_back()
        await you.next_due(sources=[SOURCE])
        await you.open_recordings(SOURCE, limit=5)
        await you.record_gone(SOURCE, "r2", looks=2)
        await you.ended_between(SOURCE, NOON, NOON + timedelta(days=1))
        await you.rooms_missing(SOURCE, limit=5)
        await you.finish_pass(SOURCE, KIND, [a_pass()], watermark=NOON)
        await you.confirmed_ids(SOURCE, "ended", DAYS)
        await you.finish_slice(SOURCE, KIND, DAYS.first, a_day(DAYS.first))

    plans = await explained(lite, work)
    assert len(plans) > 25
    assert {step for step in scanned(plans) if not step.startswith(SMALL)} == set()
