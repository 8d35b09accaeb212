"""Which request gets which fault, how that is counted, and what the audit log keeps."""

import pytest

from archiver.simulator import actions
from archiver.simulator.faults import Faults, Rule
from archiver.simulator.messages import Reply, Request
from archiver.simulator.recordings import Source
from archiver.simulator.wire import Delivery
from tests.simulator.stage import TELNYX_ID, ask, ask_telnyx, ask_twilio, media_url


def outcomes(faults, count, *, paths=("/v2/room_recordings",)):
    """Which of so many requests, over the paths in turn, were hit."""
    hit = []
    for number in range(count):
        target = paths[number % len(paths)]
        request = Request(host="telnyx", method="GET", path=target, target=target)
        hit.append(faults.deliver(request, lambda _: Reply(status=200), None).reply.status != 200)
    return hit


def test_a_rule_skips_the_first_and_fires_so_many_times():
    faults = Faults([Rule(name="third and fourth", action=actions.status(500), skip=2, times=2)])

    assert outcomes(faults, 6) == [False, False, True, True, False, False]
    assert (faults.fired["third and fourth"], faults.matched["third and fourth"]) == (2, 6)


def test_a_rule_can_count_for_each_path_alone():
    faults = Faults([Rule(name="first of each", action=actions.status(500), times=1, per_path=True)])

    assert outcomes(faults, 6, paths=("/a", "/b", "/c")) == [True, True, True, False, False, False]


def test_chance_follows_the_seed_and_nothing_else():
    def run(seed):
        return outcomes(Faults([Rule(name="sometimes", action=actions.status(500), probability=0.3)], seed=seed), 1_000)

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 250 < sum(run(1)) < 350


def test_the_first_rule_that_fires_decides():
    faults = Faults([Rule(name="one", action=actions.status(500), times=1), Rule(name="two", action=actions.status(503))])
    outcomes(faults, 3)

    assert (faults.fired["one"], faults.fired["two"]) == (1, 2)


def test_a_rule_is_about_its_host_method_and_path_alone():
    rule = Rule(name="x", action=actions.status(500), host="telnyx", method="GET", path=r"/recordings\?page")

    for host, method, target, expected in (
        ("telnyx", "GET", "/v2/recordings?page", True),
        ("twilio", "GET", "/v2/recordings?page", False),
        ("telnyx", "DELETE", "/v2/recordings?page", False),
        ("telnyx", "GET", "/v2/recordings", False),
    ):
        assert rule.concerns(Request(host=host, method=method, path=target, target=target)) is expected


def test_rules_that_never_fired_are_named():
    faults = Faults(
        [Rule(name="reached", action=actions.status(500)), Rule(name="missed", action=actions.status(500), path="/nowhere")]
    )
    outcomes(faults, 1)

    assert faults.unreached() == ["missed"]


def test_an_action_is_any_function_from_an_exchange_to_a_delivery():
    faults = Faults([Rule(name="own", action=lambda exchange: Delivery(reply=Reply(status=200 + exchange.occurrence)))])

    assert outcomes(faults, 2) == [True, True]


async def test_something_can_change_in_the_world_before_or_after_an_answer(simulation, world):
    simulation.faults.add(
        Rule(name="vanishes", action=actions.afterwards(lambda world: world.delete(TELNYX_ID)), host="telnyx", times=1)
    )
    seen = await ask_telnyx(simulation, "/room_recordings")
    gone = await ask_telnyx(simulation, "/room_recordings")
    simulation.faults.add(
        Rule(name="returns", action=actions.first(lambda world: world.replace(TELNYX_ID, deleted_at=None)), host="telnyx")
    )
    back = await ask_telnyx(simulation, "/room_recordings")

    assert [answer.json["meta"]["total_results"] for answer in (seen, gone, back)] == [1, 0, 1]


async def test_the_audit_log_says_who_asked_what_and_with_which_headers(simulation):
    await ask_telnyx(simulation, "/room_recordings?page[size]=1", headers={"X-Own": "1"})
    await ask_twilio(simulation, "/Recordings")
    await ask(await media_url(simulation))
    with_credentials, *_ = simulation.requests(host="telnyx")
    (download,) = simulation.requests(host="media", method="GET", path=r"media\.ogg$")

    assert with_credentials.authorized
    assert not download.authorized
    assert "x-own" in with_credentials.header_names
    assert with_credentials.target == "/v2/room_recordings?page[size]=1"
    assert [line.host for line in simulation.audit] == ["telnyx", "twilio", "telnyx", "media"]
    assert [line.status for line in simulation.audit] == [200] * 4


async def test_limits_are_told_beside_faults(simulation):
    simulation.faults.add(Rule(name="down", action=actions.status(503), host="telnyx"))

    assert (await ask_telnyx(simulation, "/room_recordings")).header("x-ratelimit-limit") == "1000"


@pytest.mark.parametrize("source", list(Source))
async def test_every_source_can_be_hit_by_its_media_path(simulation, source):
    simulation.faults.add(Rule(name="one source", action=actions.status(500), host="media", path=f"^/{source}/"))
    hit = [(await ask(await media_url(simulation, each))).status == 500 for each in Source]

    assert hit == [each is source for each in Source]
