"""The indexes of all tables, for what makes a schema or compares one.

Not beside the tables: a condition for PostgreSQL loads its dialect, which no command on SQLite needs and no query asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from archiver.catalog.evidence_tables import erasure_items
from archiver.catalog.tables import failing, ledger, metadata, open_at_provider, passes, recordings, renditions

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["metadata"]


def _index(name: str, table: sa.Table, columns: Iterable[str], *, where: sa.ColumnElement[bool] | None = None) -> None:
    sa.Index(name, *(table.c[column] for column in columns), sqlite_where=where, postgresql_where=where)


def _in(state: str) -> sa.ColumnElement[bool]:
    return renditions.c.state == sa.literal_column(f"'{state}'")


_index("ix_recordings_source_ended_at", recordings, ["source", "ended_at"])
_index("ix_recordings_recording_id", recordings, ["recording_id"])
_index("ix_recordings_source_room_id", recordings, ["source", "room_id"])
_index("ix_recordings_open", recordings, ["source", "looked_at"], where=open_at_provider)
_index("ix_recordings_unmanifested", recordings, ["id"], where=recordings.c.manifest.is_(None))

_index("ix_renditions_due", renditions, ["source", "priority", "due_at"], where=_in("due"))
_index("ix_renditions_transferring", renditions, ["lease_until"], where=_in("transferring"))
_index("ix_renditions_stored", renditions, ["source", "due_at"], where=_in("stored"))
# The last three columns make `status` a look at the ends of a few ranges: the oldest that is open, the newest that are archived.
_index("ix_renditions_source_state", renditions, ["source", "state", "ended_at", "archived_at", "priority"])
# Few, where what is due may be a million. Its condition names no list: SQLite makes a table of one for every row that is updated,
# which took as long as all the other indexes together.
_index("ix_renditions_failing", renditions, ["source", "state"], where=failing)
_index("ix_renditions_uploads", renditions, ["upload_id"], where=renditions.c.upload_id != sa.literal_column("''"))

_index("ix_ledger_recording", ledger, ["source", "recording_id"])
sa.Index("uq_ledger_seq", ledger.c.seq, unique=True)
_index("ix_ledger_unsealed", ledger, ["id"], where=ledger.c.seq.is_(None))

_index("ix_passes_window", passes, ["source", "listing", "first_day", "last_day", "id"])
_index("ix_passes_started", passes, ["source", "started_at"])

_index("ix_erasure_items_recording", erasure_items, ["source", "recording_id"])
