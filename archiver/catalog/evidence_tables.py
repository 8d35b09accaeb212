"""The tables behind retention, legal hold, erasure, the sealed history and attestations."""

from __future__ import annotations

import sqlalchemy as sa

from archiver.catalog.tables import Big, Diagnostic, Instant, Json, metadata, text_column

# Sealed pieces of the history: one object in the archive each, chained by the SHA-256 of the piece before.
segments = sa.Table(
    "segments",
    metadata,
    sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first_seq", Big, nullable=False),
    sa.Column("last_seq", Big, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("previous_sha256", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    text_column("version_id"),
    sa.Column("sealed_at", Instant, nullable=False),
    sa.Column("locked_until", Instant),  # as the store showed it last; null where nobody looked yet
)

# Facts of recordings, written to the archive in batches so that a lost catalog can be rebuilt. Names and raw JSON are in these
# and never in the history: it is locked, these can be rewritten when somebody has a right to be forgotten.
manifests = sa.Table(
    "manifests",
    metadata,
    sa.Column("manifest", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, nullable=False),
    text_column("version_id"),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("written_at", Instant, nullable=False),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("case_name", sa.Text, nullable=False, unique=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("selector", Json, nullable=False),
    sa.Column("future", sa.Boolean, nullable=False),
    sa.Column("placed_at", Instant, nullable=False),
    sa.Column("placed_by", sa.Text, nullable=False),
    sa.Column("released_at", Instant),
    text_column("released_by"),
    text_column("release_reason"),
)

hold_members = sa.Table(
    "hold_members",
    metadata,
    sa.Column("hold_id", Big, sa.ForeignKey("holds.id"), primary_key=True),
    sa.Column("rendition_pk", Big, sa.ForeignKey("renditions.id"), primary_key=True, index=True),
    sa.Column("held_at", Instant, nullable=False),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("selector", Json, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
)

erasure_items = sa.Table(
    "erasure_items",
    metadata,
    sa.Column("erasure_id", Big, sa.ForeignKey("erasures.id"), primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("recording_id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),  # blocked, dated, executed
    sa.Column("lawful_at", Instant),
    text_column("why"),
    sa.Column("executed_at", Instant),
    text_column("certificate"),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("first_seen_at", Instant, nullable=False),
)

attestations = sa.Table(
    "attestations",
    metadata,
    sa.Column("id", Big, primary_key=True, autoincrement=True),
    sa.Column("since", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    text_column("version_id"),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("locked_until", Instant),
)

# What fixity found wrong with an object and nobody has mended yet. A current object that is gone or not the same is told by its
# rendition's state instead; without a rendition it is a piece of evidence.
findings = sa.Table(
    "findings",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("version_id", sa.Text, primary_key=True, server_default=""),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("rendition_pk", Big, sa.ForeignKey("renditions.id"), index=True),
    text_column("says", Diagnostic),
    sa.Column("found_at", Instant, nullable=False),
)

# Small facts that the program remembers between runs: the last lock canary, a rebuild, the last fixity run.
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", Json, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
