"""Who may look at what: every route with every kind of credentials, few wrong attempts, rotation."""

import base64

import pytest

from archiver.config import Secret
from archiver.domain.errors import ConfigurationError
from archiver.web import serve
from archiver.web.access import Access
from archiver.web.attempts import ADDRESSES, AT_ONCE, EVERY, Attempts, network_of
from archiver.web.passwords import hash_password
from archiver.web.refusals import Refusal
from tests.web.clock import Clock
from tests.web.site import site_at
from tests.web.test_routes import an_address_of_each, assert_armoured

PASSWORD = "correct horse: battery ü"
TOKEN = "t0ken-of-at-least-sixteen"
HASH = hash_password(PASSWORD, salt=b"0123456789abcdef", n=16384, p=1)
USERS = {"ana": Secret(HASH)}
TOKENS = {"grafana": Secret(TOKEN), "other": Secret("another-token-of-length")}
FOR_MACHINES = {"/livez", "/readyz", "/metrics"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


RIGHT = [basic("ana", PASSWORD), bearer(TOKEN), bearer("another-token-of-length"), {"Authorization": f"bEaReR  {TOKEN} "}]
WRONG = [
    basic("ana", "wrong"),
    basic("ana", ""),
    basic("nobody", PASSWORD),
    basic("", ""),
    basic("ana", HASH),
    bearer(TOKEN[:-1]),
    bearer(TOKEN + "x"),
    bearer(""),
    bearer(PASSWORD),
    bearer(HASH),
    {"Authorization": ""},
    {"Authorization": "Basic"},
    {"Authorization": "Basic !!!"},
    {"Authorization": "Basic " + base64.b64encode(b"ana").decode()},
    {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
    {"Authorization": "Digest username=ana"},
    {"Authorization": TOKEN},
]


@pytest.fixture
async def guarded(month_url):
    """A server with a user and two tokens."""
    async with site_at(month_url, users=USERS, tokens=TOKENS) as site:
        yield site


@pytest.fixture
async def addresses(month_url):
    async with site_at(month_url) as site:
        return {**await an_address_of_each(site), "(unknown)": "/nowhere"}


async def test_every_route_but_those_for_machines_wants_to_know_who_asks(guarded, addresses):
    for pattern, address in addresses.items():
        answer = await guarded.get(address)
        assert answer.status == (200 if pattern in FOR_MACHINES else 401), pattern
        assert_armoured(answer)
        if answer.status == 401:
            ways = answer.headers.getall("WWW-Authenticate")
            assert ways == ['Basic realm="archiver", charset="UTF-8"', 'Bearer realm="archiver"']


async def test_every_route_answers_whoever_is_known(guarded, addresses):
    for right in RIGHT:
        for pattern, address in addresses.items():
            assert (await guarded.get(address, headers=right)).status == (404 if pattern == "(unknown)" else 200), pattern


async def test_no_route_answers_wrong_credentials(guarded, addresses):
    for wrong in WRONG:
        guarded.clock.advance(seconds=1000)  # or the address would run out of attempts
        assert (await guarded.get("/", headers=wrong)).status == 401, wrong
    for pattern, address in addresses.items():
        guarded.clock.advance(seconds=1000)
        assert (await guarded.get(address, headers=bearer("wrong"))).status == (200 if pattern in FOR_MACHINES else 401)


async def test_other_methods_do_not_get_round_the_door(guarded):
    for method in ("POST", "HEAD", "OPTIONS", "DELETE", "TRACE"):
        assert (await guarded.get("/", method=method)).status == 401


async def test_credentials_in_the_address_are_not_credentials(guarded):
    for address in (f"/?token={TOKEN}", f"/?access_token={TOKEN}", f"/api/v1/status?token={TOKEN}"):
        answer = await guarded.get(address)
        assert answer.status == 401
        assert TOKEN not in answer.text


@pytest.mark.parametrize(("users", "tokens", "ways"), [(USERS, {}, ["Basic"]), ({}, TOKENS, ["Bearer"])])
async def test_only_what_is_configured_is_offered_and_taken(month_url, users, tokens, ways):
    async with site_at(month_url, users=users, tokens=tokens) as site:
        refused = await site.get("/")
        assert [way.split(" ")[0] for way in refused.headers.getall("WWW-Authenticate")] == ways
        assert (await site.get("/", headers=basic("ana", PASSWORD))).status == (200 if users else 401)
        assert (await site.get("/", headers=bearer(TOKEN))).status == (200 if tokens else 401)


# -- without anybody configured


async def test_on_loopback_everybody_on_this_machine_may_look(month, addresses):
    for pattern, address in addresses.items():
        assert (await month.get(address)).status == (404 if pattern == "(unknown)" else 200)


async def test_elsewhere_nobody_may_look_and_machines_may_ask(month_url, addresses):
    async with site_at(month_url, host="0.0.0.0") as site:
        for pattern, address in addresses.items():
            answer = await site.get(address)
            assert answer.status == (200 if pattern in FOR_MACHINES else 403), pattern
            assert_armoured(answer)
            if answer.status == 403:
                assert "web.users" in answer.text
        for address in FOR_MACHINES:  # a scraper calls us by whatever name its network has for us
            assert (await site.get(address, headers={"Host": "archiver:8080"})).status == 200


async def test_elsewhere_with_somebody_configured_only_they_may_look(month_url):
    async with site_at(month_url, host="0.0.0.0", users=USERS) as site:
        assert (await site.get("/")).status == 401
        assert (await site.get("/", headers=basic("ana", PASSWORD))).status == 200
        assert (await site.get("/", headers={"Host": "rebound.example", **basic("ana", PASSWORD)})).status == 400


# -- guessing


async def test_guessing_is_slowed_down_for_right_and_wrong_alike(guarded):
    for _ in range(AT_ONCE):
        assert (await guarded.get("/", headers=bearer("guess"))).status == 401
    slowed = await guarded.get("/", headers=bearer("guess"))
    assert (slowed.status, slowed.headers["Retry-After"]) == (429, str(int(EVERY)))
    assert (await guarded.get("/", headers=bearer(TOKEN))).status == 429
    assert (await guarded.get("/livez")).status == 200
    guarded.clock.advance(seconds=EVERY)
    assert (await guarded.get("/", headers=bearer(TOKEN))).status == 200


async def test_asking_without_credentials_and_with_right_ones_uses_nothing_up(guarded):
    for _ in range(3 * AT_ONCE):
        assert (await guarded.get("/")).status == 401
        assert (await guarded.get("/", headers=bearer(TOKEN))).status == 200
        assert (await guarded.get("/", headers=basic("ana", PASSWORD))).status == 200


def test_an_address_gets_a_few_attempts_at_once_and_one_now_and_then():
    clock = Clock()
    attempts = Attempts(clock)
    assert [attempts.spend("10.0.0.1") for _ in range(AT_ONCE + 1)] == [0.0] * AT_ONCE + [EVERY]
    assert attempts.spend("10.0.0.2") == 0
    clock.advance(seconds=EVERY / 2)
    assert attempts.spend("10.0.0.1") == EVERY / 2
    clock.advance(seconds=EVERY / 2)
    assert attempts.spend("10.0.0.1") == 0
    assert attempts.spend("10.0.0.1") > 0
    clock.advance(seconds=1e6)
    assert [attempts.spend("10.0.0.1") for _ in range(AT_ONCE + 1)][-2:] == [0.0, EVERY]


def test_only_so_many_addresses_are_remembered():
    attempts = Attempts(Clock())
    for number in range(2 * ADDRESSES):
        attempts.spend(f"2001:db8:{number // 65536:x}:{number % 65536:x}::1")
    assert len(attempts._buckets) == ADDRESSES


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_what_counts_as_one_address(address, network):
    assert network_of(address) == network


# -- rotation, mistakes


async def test_a_rotated_token_and_password_count_within_a_minute(month_url, tmp_path):
    token, user = tmp_path / "token", tmp_path / "user"
    token.write_text("the-first-token-of-all\n")
    user.write_text(HASH)
    tokens = {"t": Secret("the-first-token-of-all", file=token)}
    async with site_at(month_url, tokens=tokens, users={"ana": Secret(HASH, file=user)}) as site:
        assert (await site.get("/", headers=bearer("the-first-token-of-all"))).status == 200
        assert (await site.get("/", headers=basic("ana", PASSWORD))).status == 200
        token.write_text("the-second-token-of-all\n")
        user.write_text(hash_password("other", salt=b"0123456789abcdef", n=16384, p=1))
        site.clock.advance(seconds=60)
        assert (await site.get("/", headers=bearer("the-first-token-of-all"))).status == 401
        assert (await site.get("/", headers=basic("ana", PASSWORD))).status == 401
        assert (await site.get("/", headers=bearer("the-second-token-of-all"))).status == 200
        user.write_text("half a ha")
        site.clock.advance(seconds=60)
        assert (await site.get("/", headers=basic("ana", "other"))).status == 200, "a broken file leaves the last good one"


async def test_a_password_is_hashed_once_for_many_pages(guarded):
    hashed = []
    access = Access(users=USERS, tokens={}, local=True, clock=guarded.clock)
    access._checking = Counted(hashed)
    for _ in range(5):
        await access.admit(basic("ana", PASSWORD)["Authorization"], "10.0.0.1")
    assert len(hashed) == 1
    with pytest.raises(Refusal):
        await access.admit(basic("ana", "wrong")["Authorization"], "10.0.0.1")
    guarded.clock.advance(seconds=3600)
    await access.admit(basic("ana", PASSWORD)["Authorization"], "10.0.0.1")
    assert len(hashed) == 3


class Counted:
    """A lock that counts who passes: every check of a password does."""

    def __init__(self, entered: list[int]) -> None:
        self._entered = entered

    async def __aenter__(self) -> None:
        self._entered.append(1)

    async def __aexit__(self, *_exc: object) -> None:
        pass


async def test_a_hash_that_cannot_be_used_stops_the_start_and_is_not_shown(month_url):
    users = {"ana": Secret("scrypt:32768:8:1$salt$hunter2hunter2"), "bob": Secret("scrypt$2$1$1$c2FsdHNhbHQ=$aGFzaA==")}
    with pytest.raises(ConfigurationError) as caught:
        async with site_at(month_url, users=users):
            raise AssertionError("it must not start")
    assert len(caught.value.problems) == 2
    assert "web.users.ana" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_an_address_in_use_is_a_configuration_error(month, month_url):
    with pytest.raises(ConfigurationError, match=r"web\.listen: 127\.0\.0\.1:\d+ cannot be listened on"):
        async with serve(month.view, host="127.0.0.1", port=month.server.port):
            raise AssertionError("it must not start")
