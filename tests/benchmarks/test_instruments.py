"""The benchmarks' own parts: figures, what arrived, catalogs of any size, peak memory."""

import os
import sys
import time
from datetime import UTC, datetime

import pytest

from archiver.catalog import consistency
from archiver.catalog.database import Database
from archiver.catalog.reports import state_counts
from benchmarks import catalog_rows, catalog_work, children
from benchmarks.bodies import proofs
from benchmarks.children import Cost
from benchmarks.rounds import PRODUCT, START, Turn, beyond_start, figure, told
from benchmarks.stage import NotWhole, Stage

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def turn(cpu, wall=1.0, rss=2**20):
    return Turn(cost=Cost(cpu=cpu, wall=wall, rss=rss, out=""), servers=0.5, sent=["SHA256"])


def test_a_figure_tells_median_least_most_and_every_round():
    assert figure([3.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 3.0, "rounds": [3.0, 1.0, 2.0]}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    turns = {PRODUCT: [turn(1.0), turn(2.0), turn(4.0)], "peer": [turn(2.0), turn(3.0), turn(4.0)]}
    assert told(turns, per=1, unit="cpu_s")["peer"]["cpu_times_the_product"]["rounds"] == [2.0, 1.5, 1.0]
    assert told(turns, per=1, unit="cpu_s")["peer"]["cpu_times_the_product"]["median"] == 1.5


def test_start_up_is_taken_off_round_by_round():
    turns = {PRODUCT: [turn(3.0), turn(5.0)], START: [turn(1.0), turn(2.0)]}
    assert beyond_start(turns, per=2)["beyond_start_up"]["rounds"] == [1.0, 1.5]


@pytest.mark.parametrize("parts", [[], [[4, "cd" * 32]], [[5, "ab" * 32]]], ids=["nothing", "other bytes", "one byte more"])
def test_what_is_not_the_source_s_bytes_ends_a_run(parts):
    with pytest.raises(NotWhole, match="r1"):
        Stage._compare(None, {"id": "r1", "size": 4, "sha256": "ab" * 32}, parts)


def test_the_source_s_own_bytes_are_whole():
    Stage._compare(None, {"id": "r1", "size": 4, "sha256": "ab" * 32}, [[4, "ab" * 32]])


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, set()),
        ({"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, set()),
        ({"x-amz-content-sha256": "0" * 64}, {"SHA-256 in the signature"}),
        ({"content-md5": "x", "x-amz-checksum-crc64nvme": "x", "x-amz-checksum-type": "x"}, {"MD5", "CRC64NVME"}),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, {"CRC32 in a trailer"}),
    ],
)
def test_the_sink_says_how_a_body_was_proved(headers, words):
    assert proofs(headers) == words


@pytest.mark.parametrize("size", [20, 120])
def test_peak_memory_is_the_client_s_own(tmp_path, size):
    ballast = bytearray(64 * 2**20)  # which ru_maxrss would count for the child too
    program = f"import time; x = bytearray({size} * 2**20); time.sleep(0.3)"
    cost = children.run([sys.executable, "-S", "-c", program], environment=os.environ, folder=tmp_path)
    assert size * 2**20 < cost.rss < (size + 30) * 2**20
    del ballast


def test_the_clock_is_the_machine_s(tmp_path):
    before = time.monotonic()
    assert before <= children.run(["true"], environment=os.environ, folder=tmp_path).began <= time.monotonic()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def server(request):
    """Of the session, because what starts inside a test would look like a leak of it."""
    return request.getfixturevalue("postgres") if request.param == "postgresql" else None


@pytest.fixture
def url(server, tmp_path):
    """Where a catalog can be made."""
    if server is None:
        yield f"sqlite:///{tmp_path}/catalog.db"
        return
    with server.database() as found:
        yield found


async def test_a_catalog_made_for_it_agrees_with_itself(url):
    catalog_rows.build(url, 2_000, now=NOW.timestamp())
    async with Database(url, clock=lambda: NOW, clock_rules=True) as database:
        found = await database.ask(lambda conn: consistency.check(conn, NOW, revision=""))
        counts = await database.ask(state_counts)
    short_of_history = {problem["law"] for problem in found["problems"] if problem["law"].startswith("I21 ")}
    assert {problem["law"] for problem in found["problems"]} == short_of_history  # one line of it stands for four
    assert found["rows"] == {"recordings": 2_000, "renditions": 2_000, "ledger": 2_000, "quarantine": 0}
    assert sum(states["due"] for states in counts.values()) == 200
    assert counts.keys() == catalog_rows.SOURCES.keys()


async def test_every_question_to_a_catalog_looks_at_pages(url):
    catalog_rows.build(url, 1_000, now=NOW.timestamp())
    found = await catalog_work.measured(url, NOW, 1)
    assert {"claim of 50", "page, 250 unchanged", "page, 250 new", "status"} <= found["pages"].keys()
    assert min(found["pages"].values()) > 0
    assert min(found["cpu_ms"].values()) > 0


async def test_a_calm_catalog_has_nothing_due_or_failed_and_no_history(tmp_path):
    url = f"sqlite:///{tmp_path}/catalog.db"
    catalog_rows.build(url, 2_000, now=NOW.timestamp(), calm=True)
    async with Database(url, clock=lambda: NOW) as database:
        found = await database.ask(lambda conn: consistency.check(conn, NOW, revision=""))
    assert {state for state, count in found["states"].items() if count} == {"verified", "expired", "lost"}
    assert found["rows"]["ledger"] == 0
