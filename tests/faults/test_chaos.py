"""Faults on every tenth request and kills all the while: nothing lost, doubled, wrong or left over (G1)."""

import contextlib
from collections import Counter

import pytest

from archiver.simulator.messages import Reply, Request
from archiver.simulator.wire import Delivery
from tests.faults.chaos import RESUMED, ROWS, SHARE, main, script, storm
from tests.faults.kills import Servers
from tests.faults.reach import Reach, Row

SEED = 2027


@pytest.fixture
def servers(postgres, rclone_s3):
    with contextlib.ExitStack() as stack:
        yield Servers(stack, postgres_server=postgres, s3_servers={"rclone": rclone_s3})
        rclone_s3.client.close()


async def test_a_storm_of_faults_and_kills_loses_nothing(tmp_path, servers):
    reach = Reach("chaos in small")
    where = {"database": "postgresql", "store": "rclone", "servers": servers, "reach": reach}
    outcome = await storm(tmp_path / "storm", SEED, recordings=300, kills=10, **where)
    assert outcome.violations == []
    assert reach.missing([Row.KILL, Row.SERVER_ERRORS, Row.CUT_BODY, Row.CLEAN_CUT, Row.S3_ERRORS]) == []


def test_every_tenth_request_meets_a_fault():
    faults = script(1)
    requests = [
        Request(host="media", method="GET", path=f"/{n}", query=(), headers={}, body=b"", base_url="") for n in range(6_000)
    ]
    for request in requests:
        faults.deliver(request, lambda _request: Reply(status=200, body=b"x"), None)
    media = {name: count for name, count in faults.fired.items() if name.startswith("media")}
    assert abs(sum(media.values()) / len(requests) - SHARE) < 0.015
    assert media.keys() == {name for name in ROWS if name.startswith("media")} - RESUMED.keys()


def test_requests_with_a_range_meet_faults_of_their_own():
    faults = script(1)
    fired = Counter()
    for number in range(100):
        headers = {"range": "bytes=5-"}
        request = Request(host="media", method="GET", path=f"/{number}", query=(), headers=headers, body=b"", base_url="")
        found = faults.deliver(request, lambda _request: Reply(status=206, body=b"x"), None)
        assert isinstance(found, Delivery)
    fired.update(faults.fired)
    assert fired.keys() == RESUMED.keys()


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_ten_thousand_recordings_through_five_hundred_kills():
    assert main(["--recordings", "10000", "--kills", "500", "--store", "file", "--store", "rclone"]) == 0
