"""`demo` and `simulate`: the whole thing on one machine, against simulated providers."""

from __future__ import annotations

import os
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archiver.app import open_app
from archiver.catalog import reports
from archiver.cli import exits
from archiver.cli.run import run_daemon
from archiver.cli.running import Stop, run_command
from archiver.cli.sync import run_sync
from archiver.cli.tables import print_table, say
from archiver.config import load
from archiver.domain.errors import UsageError
from archiver.domain.recording import State
from archiver.simulator.__main__ import main as simulator
from archiver.simulator.population import populate
from archiver.simulator.server import serve
from archiver.simulator.world import World

if TYPE_CHECKING:
    from archiver.app import App
    from archiver.config import Settings
    from archiver.simulator.server import Simulation

FOLDER = Path("demo-data")
MARK = ".archiver-demo"  # only a folder with this file in it is ever cleared
PORT = 8080
SEED = 7

CONFIG = """\
# Written by `archiver demo`; works with every command while the demo runs, e.g.
#   archiver --config {folder}/archiver.toml status
[catalog]
url = "sqlite:///{folder}/catalog.db"

[storage]
url = "file://{folder}/archive"

[transfer]
max_attempts = 2

[web]
listen = "127.0.0.1:{port}"

[[source]]
name = "telnyx-rooms"
provider = "telnyx-rooms"
base_url = "{telnyx}"
api_key = "{api_key}"
media_hosts = ["{media}"]
poll_every = "15s"
lookback = "10d"

[[source]]
name = "telnyx-calls"
provider = "telnyx-calls"
base_url = "{telnyx}"
api_key = "{api_key}"
formats = ["mp3", "wav"]
media_hosts = ["{media}"]
poll_every = "15s"
lookback = "10d"

[[source]]
name = "twilio-video"
provider = "twilio-video"
base_url = "{twilio}"
account_sid = "{account_sid}"
api_key_sid = "{api_key_sid}"
api_key_secret = "{api_key_secret}"
media_hosts = ["{media}"]
poll_every = "15s"
lookback = "10d"

[[policy]]
name = "everything-7y"
match = {{ source = "*" }}
keep = "7y"
"""


@click.command("demo")
@click.option("--once", is_flag=True, help="End after the summary instead of going on as a daemon.")
@click.option("--recordings", type=click.IntRange(1, 100_000), default=300, show_default=True, metavar="N")
def demo(once: bool, recordings: int) -> None:  # noqa: FBT001 -- click passes by name
    """Archive simulated Telnyx and Twilio recordings into ./demo-data, then show the dashboard until Ctrl-C."""
    folder = FOLDER.resolve()
    clear(folder)

    async def main(stop: Stop) -> int:
        world = World(clock=lambda: datetime.now(UTC), seed=SEED)
        populate(world, recordings)
        async with serve(world, remember=10_000) as simulation:
            settings = configure(folder, simulation)
            return await show(settings, stop, folder, once=once)

    click.get_current_context().exit(run_command(main))


def clear(folder: Path) -> None:
    """An empty demo folder; refuses to touch one that is not ours."""
    if folder.exists() and not (folder / MARK).exists():
        raise UsageError(f"{folder} exists and was not made by the demo", hint="move it away, or run the demo elsewhere")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("Made by `archiver demo`, which clears this folder at every start.\n")


def configure(folder: Path, simulation: Simulation) -> Settings:
    """Writes the demo's configuration and loads it, as a user's would be."""
    given = simulation.credentials
    text = CONFIG.format(
        folder=folder,
        port=free_port(PORT),
        telnyx=simulation.telnyx_url,
        twilio=simulation.twilio_url,
        media=simulation.media_url.partition("//")[2],
        api_key=given.api_key,
        account_sid=given.account_sid,
        api_key_sid=given.api_key_sid,
        api_key_secret=given.api_key_secret,
    )
    path = folder / "archiver.toml"
    path.touch(mode=0o600)
    path.write_text(text)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ARCHIVER_")}
    return load(path, ours, {})


def free_port(wanted: int) -> int:
    """The port asked for, or any free one where somebody has it."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


async def show(settings: Settings, stop: Stop, folder: Path, *, once: bool) -> int:
    """The main job with progress, its summary, then the daemon with its dashboard."""
    click.echo("Three simulated sources on loopback, a SQLite catalog, a local archive. Archiving …", err=True)
    async with open_app(settings, command="demo") as app:
        await run_sync(app, stop)
        worst = await states(app)
        click.echo(f"\nArchive:  {folder}/archive\nCatalog:  {folder}/catalog.db\nSettings: {folder}/archiver.toml")
        if once or stop.is_set():
            return stop.code if stop.is_set() else worst
        click.echo(f"Dashboard: http://{settings.web.listen}  (new recordings keep arriving; Ctrl-C ends)")
        await run_daemon(app, stop)
    return exits.DONE


async def states(app: App) -> int:
    """Shows where every rendition stands, in the order of its way; the exit code says whether anything went wrong.

    Losses and tracks without media belong to what the demonstration shows; failed transfers do not.
    """
    async with app.database.read() as conn:
        counts = await reports.state_counts(conn)
    there = [state.value for state in State if any(row.get(state.value) for row in counts.values())]
    rows = [[source, *(f"{row.get(state, 0):,}" for state in there)] for source, row in sorted(counts.items())]
    say("\nWhere every rendition stands:")
    print_table(["source", *there], rows, right=there)
    wrong = sum(row.get(state.value, 0) for row in counts.values() for state in (State.FAILED, State.DAMAGED))
    return exits.SOME_FAILED if wrong else exits.DONE


@click.command(
    "simulate",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def simulate(words: tuple[str, ...]) -> None:
    """Serve only the simulated providers, until a signal (`simulate --help` lists its options)."""
    simulator(list(words))
