"""The real program survives SIGKILL at random moments: ten of them in every run, five hundred in the long campaign."""

import contextlib

import pytest

from tests.faults.kills import Servers, Tally, episode, main
from tests.faults.zygote import Zygote

SEED = 2027


@pytest.fixture
def servers(postgres, rclone_s3, localstack):
    with contextlib.ExitStack() as stack:
        yield Servers(stack, postgres_server=postgres, s3_servers={"rclone": rclone_s3, "localstack": localstack})
        for server in (rclone_s3, localstack):
            server.client.close()


@pytest.mark.parametrize(("database", "store"), [("sqlite", "file"), ("postgresql", "localstack")])
async def test_the_program_killed_again_and_again_works_at_once_and_loses_nothing(tmp_path, servers, database, store):
    tally = Tally()
    async with Zygote.opened() as zygote:
        where = {"database": database, "store": store, "servers": servers, "zygote": zygote}
        found = await episode(tmp_path / "episode", SEED, kills=5, recordings=24, tally=tally, **where)
    assert found == []
    assert tally.tried == 5


async def test_a_start_reports_the_exit_code_of_the_program(tmp_path):
    async with Zygote.opened() as zygote:
        run = await zygote.start("--version", log=tmp_path / "log")
        assert await run.ended() == 0
        wrong = await zygote.start("--config", tmp_path / "none.toml", "status", log=tmp_path / "log")
        assert await wrong.ended() == 2
    assert (tmp_path / "log").read_text().startswith("archiver, version ")


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_five_hundred_kills():
    assert main(["--kills", "500"]) == 0
