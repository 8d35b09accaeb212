"""No credential, token or presigned query leaves the program, whatever goes wrong: in logs, output, pages, metrics, catalog, argv."""

import asyncio
import signal

import pytest

from archiver.simulator import actions, page_actions
from archiver.simulator.faults import Faults, Rule
from tests.faults.arena import Arena, Store, migrated, steady_world
from tests.faults.chaos import script
from tests.faults.secret_hunt import COMMANDS, Hunt
from tests.faults.test_outages import free_port, ready
from tests.faults.zygote import Zygote

PASSWORD = "canary-of-the-database-7d1f"  # PostgreSQL of the testbed trusts everybody, and takes any password
AWS_SECRET = "canary+of/the+store+93ab51c0d2e7f6a8b9c0d1e2"
AWS_TOKEN = "canaryOfTheSession//////////5fe1c0ffee=="
WEB_TOKEN = "canary-of-the-page-0123456789abcdef"
PAGES = (
    "/",
    "/livez",
    "/readyz",
    "/metrics",
    "/api/v1/status",
    "/api/v1/recordings",
    "/recordings",
    "/no-such-page",
    "/%2e%2e/etc",
)


def canaries(arena):
    given = arena.simulation.credentials
    return {
        "the database's password": PASSWORD,
        "the store's secret": AWS_SECRET,
        "the store's session token": AWS_TOKEN,
        "the page's token": WEB_TOKEN,
        "Telnyx' key": given.api_key,
        "Twilio's secret": given.api_key_secret,
        "Twilio's token": given.auth_token,
        "the key of presigned URLs": arena.simulation.world.secret.decode(),
    }


def refusing():
    """Everything that makes a provider's answer quote what was sent, or lead it elsewhere."""
    leak = "https://evil.example/x?X-Amz-Signature=0123456789abcdef&token=canary"
    return Faults(
        [
            Rule(name="401", action=actions.status(401), host="telnyx", probability=0.05),
            Rule(name="elsewhere", action=page_actions.links_to(leak), host="telnyx", probability=0.05),
            Rule(name="redirect", action=actions.redirect(leak), host="media", probability=0.05),
            Rule(name="garbled", action=page_actions.garbled("truncated"), host="twilio", probability=0.1),
        ]
    )


async def hunted(tmp_path, url, store, faults, *, commands, environment):
    """A daemon with its page under faults, commands beside it, and everything they said."""
    where = {"catalog": url, "store": store, "world": steady_world(31, 40), "faults": faults}
    async with Zygote.opened(hurry=True) as zygote, Arena.opened(tmp_path / "arena", **where, zygote=zygote) as arena:
        arena.environment |= environment
        with (arena.folder / "archiver.toml").open("a") as file:
            file.write(f'[web.tokens]\nrobot = "{WEB_TOKEN}"\n')
        hunt = Hunt(arena, canaries(arena))
        for words in commands[: len(commands) // 2]:
            await hunt.command(*words)
        port = free_port()
        arena.environment["ARCHIVER_WEB__LISTEN"] = f"127.0.0.1:{port}"
        run = await arena.start("run")
        await answering(port)
        hunt.process(run.pid, "run")
        for page in PAGES:
            await hunt.page(f"http://127.0.0.1:{port}{page}")
            await hunt.page(f"http://127.0.0.1:{port}{page}", Authorization=f"Bearer {WEB_TOKEN}")
            await hunt.page(f"http://127.0.0.1:{port}{page}", Authorization=f"Bearer {WEB_TOKEN}x")
        del arena.environment["ARCHIVER_WEB__LISTEN"]
        for words in commands[len(commands) // 2 :]:
            await hunt.command(*words)
        assert await run.kill(signal.SIGTERM) == 0
        faults.clear()
        await arena.finish()
        secrets = [str(law) for law in await arena.verdict(endings=False) if law.law.startswith("I22")]
        return hunt, [*hunt.found(), *secrets]


async def answering(port):
    """Ready or not, it says something."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(ready, port):  # noqa: ASYNC110 -- of another process
            await asyncio.sleep(0.2)


@pytest.mark.timeout(240)
async def test_no_secret_leaves_the_program_by_any_way_while_providers_misbehave(tmp_path):
    url, store = migrated(f"sqlite:///{tmp_path}/catalog.db"), Store(url=f"file://{tmp_path}/archive")
    short = [("status", "--json"), ("config", "show"), ("-v", "sync", "--json"), ("list", "--json")]
    hunt, found = await hunted(tmp_path, url, store, refusing(), commands=short, environment={})
    assert found == []
    assert any("200" in place for place in hunt.texts)
    assert any('"event"' in text for text in hunt.texts.values())


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_secret_leaves_the_program_by_any_way_under_all_faults(tmp_path, postgres_url, s3_bucket, seed):
    migrated(postgres_url)
    url = postgres_url.replace("postgres@", f"postgres:{PASSWORD}@")
    store = Store(url=f"{s3_bucket.url}/archive", endpoint=s3_bucket.endpoint_url)
    environment = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_SESSION_TOKEN": AWS_TOKEN}
    _hunt, found = await hunted(tmp_path, url, store, script(seed), commands=COMMANDS, environment=environment)
    assert found == []


@pytest.mark.faults
async def test_what_cannot_be_reached_is_named_without_its_password(tmp_path):
    """A database and a store that nobody listens for, asked for by every command."""
    url = f"postgresql://archiver:{PASSWORD}@127.0.0.1:{free_port()}/archive"
    store = Store(url="s3://bucket/archive", endpoint=f"http://127.0.0.1:{free_port()}")
    environment = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_SESSION_TOKEN": AWS_TOKEN}
    for catalog in (url, migrated(f"sqlite:///{tmp_path}/catalog.db")):
        folder = tmp_path / catalog.partition(":")[0]
        where = {"catalog": catalog, "store": store, "world": steady_world(32, 3)}
        async with Zygote.opened() as zygote, Arena.opened(folder, **where, zygote=zygote) as arena:
            arena.environment |= environment
            hunt = Hunt(arena, canaries(arena))
            codes = [await hunt.command(*words) for words in (("-v", "sync"), ("-v", "run"), ("status",), ("doctor",))]
            assert codes[0] == codes[1] == 5
            assert hunt.found() == []


async def test_a_secret_that_does_leave_is_found_wherever_it_is(tmp_path):
    url, store = migrated(f"sqlite:///{tmp_path}/catalog.db"), Store(url=f"file://{tmp_path}/archive")
    where = {"catalog": url, "store": store, "world": steady_world(33, 1)}
    async with Zygote.opened() as zygote, Arena.opened(tmp_path / "arena", **where, zygote=zygote) as arena:
        hunt = Hunt(arena, canaries(arena))
        hunt.texts["a page"] = f"… {AWS_SECRET} …"
        hunt.texts["an address"] = "https://h/x?X-Amz-Signature=0123456789"
        hunt.texts["a redacted one"] = "https://h/x?X-Amz-Signature=***"
        arena.log.write_text(f'{{"error": "postgresql://me:{PASSWORD}@db/x"}}')
        places = sorted(told.partition(" in ")[2].partition(":")[0] for told in hunt.found())
        assert places == ["a page", "an address", "the log", "the log"]
