"""The whole program over simulated providers, in this process and in virtual time; and its configuration, as a user writes it."""

import asyncio
import contextlib
import dataclasses
import io
import json
import re
from datetime import UTC, datetime

import sqlalchemy as sa

from archiver.app import open_app
from archiver.catalog.tables import metadata, recordings, renditions
from archiver.config import load
from archiver.pipeline import cycle
from archiver.telemetry import configure_logs
from tests.pipeline.clock import Counted, VirtualClock
from tests.pipeline.stage import share_compiled

SOURCES = ("telnyx-rooms", "telnyx-calls", "twilio-video")


def configuration(
    simulation, *, folder, catalog="", storage="", sources=SOURCES, extra="", transfer="max_attempts = 3", **source
):
    """The text of a configuration file for a running simulation; `source` are keys for every source."""
    given = simulation.credentials
    media = simulation.media_url.partition("//")[2]
    keys = {"poll_every": "5m", "lookback": "10d", "media_hosts": [media], **source}
    telnyx = {"base_url": simulation.telnyx_url, "api_key": given.api_key}
    own = {
        "telnyx-rooms": telnyx,
        "telnyx-calls": {**telnyx, "formats": ["mp3", "wav"]},
        "twilio-video": {
            "base_url": simulation.twilio_url,
            "account_sid": given.account_sid,
            "api_key_sid": given.api_key_sid,
            "api_key_secret": given.api_key_secret,
        },
    }
    lines = [
        "[catalog]",
        f'url = "{catalog or f"sqlite:///{folder}/catalog.db"}"',
        "[storage]",
        storage or f'url = "file://{folder}/archive"',
        "[transfer]",
        transfer,
        "[web]",
        'listen = ""',
        extra,
    ]
    for name in sources:
        lines += ["[[source]]", f'name = "{name}"', f'provider = "{name}"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in {**own[name], **keys}.items()]
    return "\n".join([*lines, ""])


def s3_storage(bucket, prefix="an/archive"):
    """The lines of [storage] for a bucket of the testbed."""
    return f'url = "{bucket.url}/{prefix}"\nendpoint_url = "{bucket.endpoint_url}"\naddressing_style = "path"\npart_size = "5MiB"'


def real_start():
    """A virtual clock that begins now: what other processes check against their own clock agrees for a while."""
    return VirtualClock(datetime.now(UTC).replace(microsecond=0))


class Archive:
    """The program opened over one configuration; runs cycles and looks at what became of them."""

    def __init__(self, app, clock, log):
        self.app = app
        self.clock = clock
        self.log = log
        self.tally = None

    async def sync(self):
        """One cycle, as the command runs it, by the virtual clock."""
        tally = self.tally = self.app.tally()
        await cycle.sync(
            discoveries=self.app.discoveries(),
            pump=self.app.pump(done=tally.ended),
            catalog=self.app.catalog,
            health=self.app.health,
            clock=self.clock,
            tally=tally,
            stop=asyncio.Event(),
        )
        return tally

    async def rows(self, query):
        async with self.app.database.read() as conn:
            return list((await conn.execute(query)).all())

    async def renditions(self):
        """Every rendition with its recording, by (source, id, name)."""
        query = sa.select(renditions, recordings.c.recording_id, recordings.c.status).join(
            recordings, recordings.c.id == renditions.c.recording_pk
        )
        return {(row.source, row.recording_id, row.name): row for row in await self.rows(query)}

    async def content(self, row):
        """The bytes of a rendition in the archive."""
        return b"".join([chunk async for chunk in self.app.storage.read(row.key, row.version_id)])

    async def keys(self):
        return [stored.key async for stored in self.app.storage.keys("") if not stored.key.startswith("_")]

    async def every_text(self):
        """Every column of every table, by its place, with all its values as one text."""
        for table in metadata.sorted_tables:
            columns = zip(*await self.rows(sa.select(table)), strict=True)
            for column, values in zip(table.columns, columns, strict=False):
                yield (
                    f"{table.name}.{column.name}",
                    "\n".join(
                        value if isinstance(value, str) else json.dumps(value)
                        for value in values
                        if isinstance(value, str | dict | list)
                    ),
                )

    @property
    def lines(self):
        """The log, line by line, parsed."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def metric(self, name, **labels):
        """The value of one sample, or the sum of those that these labels select."""
        found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", self.app.metrics.exposition().decode(), re.MULTILINE)
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(float(value) for given, value in found if all(each in given for each in wanted))


@contextlib.asynccontextmanager
async def opened(text, folder, clock, *, command="sync"):
    """The program over a configuration, with its log kept; virtual time runs while the block does."""
    path = folder / "archiver.toml"
    path.touch(mode=0o600)
    path.write_text(text)
    log = io.StringIO()
    configure_logs("json", stream=log, verbose=1)
    async with open_app(load(path, {}, {}), command=command, clock=clock) as app:
        app.database._by_clock = True  # PostgreSQL, too, goes by the virtual clock
        share_compiled(app.database)
        seen = dataclasses.replace(app, catalog=Counted(app.catalog, clock), storage=Counted(app.storage, clock))
        async with clock:
            yield Archive(seen, clock, log)
