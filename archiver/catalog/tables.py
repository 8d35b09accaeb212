"""The tables of the catalog, as SQLAlchemy Core sees them; migrations/ makes them.

Instants are `timestamptz` on PostgreSQL and ISO 8601 text in UTC with microseconds on SQLite, so that both sort, compare
and read well. JSON is kept as text: it is evidence, and a database must not reformat it.

Long, because the tables refer to each other; those of the evidence stand in evidence_tables.py, the indexes in indexes.py.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers rows by itself only for INTEGER


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime; a naive one is refused."""

    impl = sa.String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant needs a zone, got {value!r}")
        if dialect.name == "postgresql":
            return value
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
        # Not strftime: it writes the year 999 with three digits, which sorts wrongly and cannot be read back.
        return value.isoformat(timespec="microseconds")[:-6] + "Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- SQLAlchemy's signature
        if value is None:
            return None
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        found = datetime.fromisoformat(value)
        return found if found.tzinfo is UTC else found.replace(tzinfo=UTC)


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode


class Json(sa.types.TypeDecorator[Any]):
    """A JSON value as compact text with sorted keys."""

    impl = sa.Text()
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 -- SQLAlchemy's signature
        if value is None:
            return None
        return _encode(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 -- SQLAlchemy's signature
        return None if value is None else json.loads(value)


class Diagnostic(sa.types.TypeDecorator[str]):
    """Text of uncertain origin: errors, refused rows. What databases refuse (NUL, lone surrogates) is kept escaped, because a
    reason that cannot be written down would stop the work on everything else in its batch.
    """

    impl = sa.Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 -- SQLAlchemy's signature
        if value is None or (value.isascii() and "\0" not in value):
            return value
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = sa.MetaData(naming_convention=NAMING)


def text_column(name: str, kind: type[TypeEngine[str]] = sa.Text) -> sa.Column[str]:
    """A text that is empty where nothing is known."""
    return sa.Column(name, kind, nullable=False, server_default="")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


recordings = sa.Table(
    "recordings",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("recording_id", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    text_column("status_raw"),
    sa.Column("started_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("duration", sa.Float),
    sa.Column("size", sa.BigInteger),
    text_column("media_type"),
    text_column("codec"),
    text_column("container"),
    text_column("room_id"),
    text_column("room_name"),
    text_column("session_id"),
    text_column("participant_id"),
    text_column("participant_name"),
    text_column("external_url"),
    sa.Column("flags", Json, nullable=False),
    sa.Column("raw", Json, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    text_column("content"),
    sa.Column("first_seen_at", Instant, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
    sa.Column("looked_at", Instant, nullable=False),
    _count("gone_looks"),
    sa.Column("gone_at", Instant),
    text_column("release"),  # "", intended, deleted: our own deletion at the provider
    sa.Column("released_at", Instant),
    sa.Column("manifest", sa.Integer),  # the manifest in the archive that holds these facts; none yet: null
    sa.UniqueConstraint("source", "recording_id"),
)
# Conditions of indexes and of queries. Literals: SQLite does not see that a list of parameters implies an index's condition.
open_at_provider = recordings.c.status.in_([sa.literal_column("'processing'"), sa.literal_column("'unknown'")])

renditions = sa.Table(
    "renditions",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("recording_pk", Big, sa.ForeignKey("recordings.id"), nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    _count("revision"),
    text_column("change"),
    sa.Column("due_at", Instant, nullable=False),
    _count("attempts"),
    _count("priority"),
    text_column("worker"),
    sa.Column("lease_until", Instant),
    text_column("key"),
    text_column("version_id"),
    sa.Column("size", sa.BigInteger),
    text_column("sha256"),
    text_column("token"),
    text_column("content_type"),
    text_column("upload_id"),
    sa.Column("upload", Json),
    sa.Column("proof", Json),
    sa.Column("metadata", Json),
    sa.Column("archived_at", Instant),
    sa.Column("verified_at", Instant),
    sa.Column("checked_at", Instant),
    sa.Column("retain_until", Instant),
    text_column("lock_mode"),
    text_column("policy"),
    text_column("policy_fingerprint"),
    sa.Column("store_hold", sa.Boolean, nullable=False, server_default=sa.false()),  # the store's own legal hold is set
    text_column("error", Diagnostic),
    text_column("error_kind"),
    sa.Column("changed_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),  # the recording's own, kept here for an index: see kept.py
    sa.UniqueConstraint("recording_pk", "name"),
)
failing = renditions.c.error != sa.literal_column("''")

# How many renditions there are by source and state: written with every change, see tallies.py.
tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)

# Objects that a rendition had before the provider's bytes changed: kept, checked and retained like the current one (I8).
superseded = sa.Table(
    "superseded",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("rendition_pk", Big, sa.ForeignKey("renditions.id"), nullable=False, index=True),
    sa.Column("key", sa.Text, nullable=False),
    text_column("version_id"),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    text_column("token"),
    sa.Column("archived_at", Instant),
    sa.Column("superseded_at", Instant, nullable=False),
    sa.Column("checked_at", Instant),
    sa.Column("damaged", sa.Boolean, nullable=False, server_default=sa.false()),  # what repair replaced: known not to be whole
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    text_column("source"),
    text_column("recording_id"),
    text_column("rendition"),
    text_column("from_state"),
    text_column("to_state"),
    text_column("reason", Diagnostic),
    sa.Column("data", Json),
    sa.Column("seq", Big),
    sa.Column("segment", sa.Integer),
)

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("watermark", Instant),
    sa.Column("covered_since", Instant),
    sa.Column("last_complete_pass", Instant),
    sa.Column("last_started", Instant),
    text_column("problem", Diagnostic),
)

passes = sa.Table(
    "passes",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("listing", sa.Text, nullable=False),
    sa.Column("first_day", sa.Date),
    sa.Column("last_day", sa.Date),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("last_started_at", Instant),  # of the latest repetition that saw exactly the same
    sa.Column("times", sa.Integer, nullable=False, server_default="1"),
    sa.Column("finished_at", Instant, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    _count("listed"),
    _count("new"),
    _count("requests"),
    text_column("ids_sha256"),
    text_column("problem", Diagnostic),
)

slices = sa.Table(
    "slices",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("finished_at", Instant, nullable=False),
    _count("listed"),
    _count("new"),
    text_column("ids_sha256"),
)

rooms = sa.Table(
    "rooms",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("room_id", sa.Text, primary_key=True),
    text_column("name"),
    sa.Column("raw", Json),
    sa.Column("asked_at", Instant, nullable=False),
)

# Rooms that recordings name and nobody has asked for yet, or not for a day: written with the recordings, gone with the answer.
rooms_due = sa.Table(
    "rooms_due",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("room_id", sa.Text, primary_key=True),
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("reason", Diagnostic, nullable=False),
    sa.Column("raw", Diagnostic, nullable=False),
    sa.Column("first_seen_at", Instant, nullable=False),
    sa.UniqueConstraint("source", "fingerprint"),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("until", Instant, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("born", sa.BigInteger, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
)
