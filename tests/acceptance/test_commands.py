"""The commands that archive, as a user runs them: documents, exit codes, signals."""

import asyncio
import hashlib
import time
from datetime import UTC, datetime, timedelta

import pytest

from archiver.simulator.actions import slow
from archiver.simulator.body_actions import instead
from archiver.simulator.faults import Rule
from archiver.simulator.page_actions import wrong_totals
from archiver.simulator.recordings import Source
from tests.acceptance.terminal import KILL, TERM, recordings_of, terminal
from tests.pipeline.simulated import simulated

ROOMS, CALLS, TWILIO = Source.TELNYX_ROOMS, Source.TELNYX_CALLS, Source.TWILIO_VIDEO
EVERYTHING = [*recordings_of(ROOMS, 6), *recordings_of(CALLS, 4), *recordings_of(TWILIO, 5)]


def true_bytes(it):
    """Every file in the archive is one of the world's, whole."""
    wanted = {file.sha256 for each in it.world.recordings.values() for file in each.media.values()}
    found = [hashlib.sha256((it.folder / "archive" / path).read_bytes()).hexdigest() for path in it.objects()]
    assert set(found) <= wanted
    assert len(found) == len(set(found))
    return len(found)


async def test_sync_archives_everything_and_says_so_and_the_other_commands_agree(tmp_path):
    async with terminal(tmp_path, *EVERYTHING) as it:
        done = await it.run("sync", "--json")
        again = await it.run("sync")
        status = await it.run("status", "--json")
        listed = await it.run("list", "--json")
        checked = await it.run("doctor", "--json")
    assert (done.code, again.code, status.code, listed.code, checked.code) == (0, 0, 0, 0, 0)

    assert (done.document["schema"], done.document["exit_code"]) == ("archiver.sync/1", 0)
    sums = {
        part["name"]: tuple(part[name] for name in ("listed", "new", "stored", "verified", "failed", "lost"))
        for part in done.document["sources"]
    }
    assert sums == {"telnyx-rooms": (6, 6, 6, 6, 0, 0), "telnyx-calls": (4, 4, 4, 4, 0, 0), "twilio-video": (5, 5, 5, 5, 0, 0)}
    size = sum(file.size for each in EVERYTHING for file in each.media.values())
    assert sum(part["bytes"] for part in done.document["sources"]) == size
    assert true_bytes(it) == 15

    assert "15" in again.out
    assert status.document["schema"] == "archiver.status/1"
    assert {name: count for name, count in status.document["totals"].items() if count} == {"verified": 15}
    assert status.document["ready"]
    assert len(status.document["problems"]) == 3  # for each source, that the time before its lookback is a matter of backfill
    assert all("hint: archiver backfill --since" in text for text in status.document["problems"])
    assert {part["name"]: part["states"]["verified"] for part in status.document["sources"]} == {
        "telnyx-rooms": 6,
        "telnyx-calls": 4,
        "twilio-video": 5,
    }
    assert len(listed.lines) == 15
    assert sorted(line["key"] for line in listed.lines) == it.objects()
    assert {(line["state"], line["provider_status"]) for line in listed.lines} == {("verified", "completed")}
    by_key = {line["key"]: line["sha256"] for line in listed.lines}
    assert all(hashlib.sha256((tmp_path / "archive" / key).read_bytes()).hexdigest() == digest for key, digest in by_key.items())

    lines = [line["event"] for line in done.logged]
    assert (lines.count("transferred"), lines.count("verified"), lines.count("polled")) == (15, 15, 3)
    assert all({"timestamp", "level", "event"} <= set(line) for line in done.logged)
    secrets = [it.world.credentials.api_key, it.world.credentials.api_key_secret, "X-Amz-Signature"]
    said = "".join(each.out + each.err for each in (done, again, status, listed, checked))
    assert not [secret for secret in secrets if secret in said]


async def test_3_and_what_failed_goes_on_after_a_retry(tmp_path):
    async with terminal(tmp_path, *recordings_of(ROOMS, 3), sources=["telnyx-rooms"], transfer="max_attempts = 1") as it:
        bad = min(it.world.recordings)
        it.faults.add(Rule(name="page", action=instead("html"), host="media", path=bad))
        done = await it.run("sync", "--json")
        failed = await it.run("list", "--state", "failed", "--json")
        it.faults.clear()
        retried = await it.run("retry", f"telnyx-rooms/{bad}")
        after = await it.run("sync", "--json")
    assert done.code == done.document["exit_code"] == 3
    assert (done.document["sources"][0]["failed"], done.document["sources"][0]["verified"]) == (1, 2)
    (line,) = failed.lines
    assert (line["recording_id"], line["attempts"]) == (bad, 1)
    assert "not a recording: content type 'text/html'" in line["error"]
    assert (retried.code, after.code) == (0, 0)
    assert after.document["sources"][0]["verified"] == 1
    assert true_bytes(it) == 3


async def test_2_for_what_is_configured_or_asked_for_wrongly(tmp_path):
    async with terminal(tmp_path) as it:
        unknown = await it.run("sync", "--source", "telnyx-room")
        it.path.write_text(it.path.read_text().replace("max_attempts", "max_atempts"))
        wrong = await it.run("sync")
    assert (unknown.code, wrong.code) == (2, 2)
    assert "telnyx-room" in unknown.err
    assert "telnyx-rooms" in unknown.err
    assert "max_atempts" in wrong.err
    assert "max_attempts" in wrong.err
    assert "Traceback" not in unknown.err + wrong.err
    assert not (tmp_path / "archive").exists()


async def test_5_for_a_provider_out_of_reach_and_6_for_refused_credentials_while_the_others_are_archived(tmp_path):
    async with terminal(tmp_path, *EVERYTHING) as it:
        text = it.path.read_text()
        it.path.write_text(text.replace(it.simulation.twilio_url, "http://127.0.0.1:9"))
        unreachable = await it.run("sync", "--json")
        it.path.write_text(text.replace(it.world.credentials.api_key_secret, "another-secret-altogether"))
        refused = await it.run("sync", "--json")
    assert unreachable.code == unreachable.document["exit_code"] == 5
    assert refused.code == refused.document["exit_code"] == 6
    twilio = next(part for part in refused.document["sources"] if part["name"] == "twilio-video")
    assert "401" in twilio["problems"][0]
    assert it.states() == {"verified": 10}


async def test_11_for_a_gap_and_for_a_loss_once(tmp_path):
    deleted = recordings_of(TWILIO, 1, deleted_at=datetime.now(UTC) - timedelta(hours=1))
    async with terminal(tmp_path, *recordings_of(ROOMS, 2), *deleted) as it:
        it.faults.add(Rule(name="totals", action=wrong_totals(results=9), path="room_recordings[?]", times=8))
        gap = await it.run("sync", "--json", "--source", "telnyx-rooms")
        assert it.ask("SELECT watermark IS NULL FROM sources") == 1
        it.faults.clear()
        whole = await it.run("sync", "--json", "--source", "telnyx-rooms")
        loss = await it.run("sync", "--json", "--source", "twilio-video")
        known = await it.run("sync", "--json", "--source", "twilio-video")
    assert gap.code == 11
    assert "announces 9, its pages list 2" in gap.document["sources"][0]["problems"][0]
    assert whole.code == 0
    assert (loss.code, loss.document["sources"][0]["lost"]) == (11, 1)
    assert (known.code, known.document["sources"][0]["lost"]) == (0, 0)


# -- backfill


def history(days=8, each=3):
    return [
        recording
        for day in range(days)
        for recording in (simulated_at(day * each + number, timedelta(days=20 + day, minutes=number)) for number in range(each))
    ]


def simulated_at(number, ago):
    return simulated(ROOMS, number, ended_at=datetime.now(UTC).replace(microsecond=0) - ago, size=2000)


async def test_a_backfill_killed_in_the_middle_goes_on_and_lists_no_finished_day_again(tmp_path):
    since = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()
    async with terminal(tmp_path, *history(), sources=["telnyx-rooms"]) as it:
        looked = await it.run("backfill", "--since", since, "--dry-run", "--json")
        assert (it.ask("SELECT count(*) FROM recordings"), it.ask("SELECT count(*) FROM slices")) == (0, 0)
        assert it.objects() == []
        it.simulation.behaviour.latency = 0.05
        process = await it.start("backfill", "--since", since)
        await it.until("SELECT count(*) > 13 FROM slices")
        await it.end(process, KILL)
        finished = {row[0] for row in it.rows("SELECT day FROM slices")}
        it.simulation.behaviour.latency = 0
        it.simulation.audit.clear()
        began = time.monotonic()
        done = await it.run("backfill", "--since", since, "--json")
        took = time.monotonic() - began
        asked = {line.target.partition("lte]=")[2][:10] for line in it.simulation.requests(path="room_recordings$")}
    assert looked.document["sources"][0]["listed"] == 24
    assert looked.document["sources"][0]["days"] > 30
    assert done.code == 0
    assert 13 < len(finished) < 33
    assert not asked & finished
    assert it.states() == {"verified": 24}
    assert true_bytes(it) == 24
    assert it.rows("SELECT watermark FROM sources WHERE watermark IS NOT NULL") == []
    assert took < 40  # no lease of the killed one was waited for


async def test_8_for_a_budget_that_is_reached_and_0_for_the_rest(tmp_path):
    since = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()
    async with terminal(tmp_path, *history(), sources=["telnyx-rooms"], transfer="concurrency = 1") as it:
        it.faults.add(
            Rule(name="slow", action=slow(20_000), host="media")
        )  # a few at a time, for outcomes are gathered for 0.1 s
        first = await it.run("backfill", "--since", since, "--max-bytes", "9KB", "--json")
        it.faults.clear()
        stored = it.states().get("verified", 0) + it.states().get("stored", 0)
        second = await it.run("backfill", "--since", since, "--json")
    assert (first.code, first.document["exit_code"]) == (8, 8)
    assert 4 <= stored < 24
    assert second.code == 0
    assert true_bytes(it) == 24


# -- run


async def test_the_daemon_archives_drains_on_sigterm_and_lets_no_second_one_in(tmp_path):
    async with terminal(tmp_path, *EVERYTHING, poll_every="1s") as it:
        daemon = await it.start("run")
        await it.until("SELECT count(*) = 15 FROM renditions WHERE state = 'verified'")
        second = await it.run("run")
        it.faults.add(Rule(name="slow", action=slow(4_000), host="media"))  # two seconds a file
        it.world.add(recordings_of(ROOMS, 60, ended=timedelta(hours=1))[10:])
        await it.until("SELECT count(*) FROM renditions WHERE state = 'transferring'")
        began = time.monotonic()
        done = await it.end(daemon, TERM)
        took = time.monotonic() - began
        beside = it.states()
        it.faults.clear()
        after = await it.run("sync", "--json")
    assert second.code == 5
    assert "run@" in second.err
    assert str(daemon.pid) in second.err
    assert "hint: one daemon to a SQLite catalog" in second.err
    assert (done.code, took < 30) == (0, True)
    assert "transferring" not in beside
    assert beside["due"] > 0
    assert beside["verified"] + beside.get("stored", 0) > 15
    events = [line["event"] for line in done.logged]
    assert events.index("started") < events.index("draining") < events.index("stopped")
    assert after.code == 0
    assert true_bytes(it) == 65


async def test_a_second_signal_stops_at_once_and_hands_claims_back(tmp_path):
    async with terminal(tmp_path, *recordings_of(ROOMS, 4, size=100_000), sources=["telnyx-rooms"]) as it:
        it.faults.add(Rule(name="slow", action=slow(1_000), host="media"))  # a hundred seconds a file
        daemon = await it.start("run")
        await it.until("SELECT count(*) = 4 FROM renditions WHERE state = 'transferring'")
        daemon.send_signal(TERM)
        await asyncio.sleep(0.5)
        assert daemon.returncode is None
        began = time.monotonic()
        done = await it.end(daemon, TERM)
        took = time.monotonic() - began
    assert (done.code, took < 20) == (143, True)
    assert it.states() == {"due": 4}
    assert it.ask("SELECT count(*) FROM workers") == 0
    assert it.objects() == []


@pytest.mark.faults
async def test_what_is_not_done_within_the_drain_is_handed_back_within_thirty_seconds(tmp_path):
    async with terminal(tmp_path, *recordings_of(ROOMS, 4, size=100_000), sources=["telnyx-rooms"]) as it:
        it.faults.add(Rule(name="slow", action=slow(1_000), host="media"))
        daemon = await it.start("run")
        await it.until("SELECT count(*) = 4 FROM renditions WHERE state = 'transferring'")
        began = time.monotonic()
        done = await it.end(daemon, TERM)
        took = time.monotonic() - began
    assert (done.code, 20 < took < 30) == (0, True)
    assert it.states() == {"due": 4}
