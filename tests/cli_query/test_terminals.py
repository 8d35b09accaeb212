"""What people see: pipes that close, terminals, locales, sizes and times in words."""

import asyncio
import os
import subprocess
import sys

import pytest

from archiver.cli.tables import rounded_duration, rounded_size, to_the_second, visible
from tests.catalog.world import World, a_listing
from tests.cli_query.test_commands import write_config


@pytest.fixture
def one_catalog(sqlite_url, tmp_path):
    async def fill():
        async with World.at(sqlite_url) as world:
            await world.lists(*(a_listing(f"r{n}", room_name="日本 \x1b[2J", codec="λ") for n in range(3000)))

    asyncio.run(fill())
    return write_config(tmp_path / "archiver.toml", sqlite_url)


def environment(**more):
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")} | more


def test_a_reader_that_has_seen_enough_ends_list_quietly(one_catalog):
    with subprocess.Popen(
        [sys.executable, "-m", "archiver", "--config", one_catalog, "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as child:
        assert child.stdout.readline().startswith(b'{"schema"')
        child.stdout.close()
        assert (child.stderr.read(), child.wait(30)) == (b"", 0)


def test_a_locale_without_the_characters_escapes_them(one_catalog):
    command = [sys.executable, "-m", "archiver", "--config", one_catalog, "show", "r1"]
    done = subprocess.run(command, capture_output=True, env=environment(PYTHONIOENCODING="latin-1"), check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u65e5\\u672c \\x1b[2J" in done.stdout


def test_a_terminal_gets_a_table_in_which_ids_are_whole_and_nothing_obeys_a_name(one_catalog):
    script = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    command = [sys.executable, "-c", script, sys.executable, "-m", "archiver", "--config", one_catalog, "list", "--limit", "3"]
    done = subprocess.run(
        command, capture_output=True, env=environment(TERM="xterm", COLUMNS="40"), stdin=subprocess.DEVNULL, check=False
    )
    text = done.stdout.decode()
    assert done.returncode == 0
    assert "rooms/r0" in text
    assert "the first 3; there may be more" in text
    assert "\t" not in text


# -- words


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (None, ""),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_500_000, "1.4 MiB"),
        (2**40 * 500, "500 TiB"),
        (2**70, "1048576 PiB"),
    ],
)
def test_sizes_are_said_as_people_say_them(size, said):
    assert rounded_size(size) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "-"), (0, "0 s"), (119, "119 s"), (300, "5 min"), (7200, "2.0 h"), (172_800, "2 d"), (86_400 * 400, "400 d")],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert rounded_duration(seconds) == said


def test_instants_are_cut_to_the_second_and_text_to_what_prints():
    assert to_the_second("2026-03-02T12:00:00.123456Z") == to_the_second("2026-03-02T12:00:00Z") == "2026-03-02T12:00:00Z"
    assert to_the_second(None) == "-"
    assert visible("a\tb\r\n\x1b[0m\u202e日本") == "a\\tb\\r\\n\\x1b[0m\\u202e日本"


def test_a_start_loads_nothing_that_only_other_commands_and_databases_need():
    """Half of what a start took; and structlog must not know rich, whose tracebacks show the values of variables."""
    look = """
import sys
from archiver.__main__ import main
sys.argv = ["archiver", "sync", "--help"]
try:
    main()
finally:
    heavy = ("alembic", "awscrt", "boto3", "botocore", "rich", "sqlalchemy.dialects.postgresql")
    sys.stderr.write(repr([name for name in heavy if name in sys.modules] + [sys.modules["structlog"].dev.rich]))
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, env=environment(), text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[None]")
