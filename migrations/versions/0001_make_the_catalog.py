"""Make the catalog."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from archiver.catalog.tables import Big, Instant, Json

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "ledger",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("recording_id", sa.Text(), server_default="", nullable=False),
        sa.Column("rendition", sa.Text(), server_default="", nullable=False),
        sa.Column("from_state", sa.Text(), server_default="", nullable=False),
        sa.Column("to_state", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("data", Json(), nullable=True),
        sa.Column("seq", Big, nullable=True),
        sa.Column("segment", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
    )
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_recording", ["source", "recording_id"], unique=False)
        batch_op.create_index(
            "ix_ledger_unsealed",
            ["id"],
            unique=False,
            sqlite_where=sa.text("seq IS NULL"),
            postgresql_where=sa.text("seq IS NULL"),
        )
        batch_op.create_index("uq_ledger_seq", ["seq"], unique=True)

    op.create_table(
        "passes",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("listing", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("new", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ids_sha256", sa.Text(), server_default="", nullable=False),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passes")),
    )
    with op.batch_alter_table("passes", schema=None) as batch_op:
        batch_op.create_index("ix_passes_window", ["source", "listing", "first_day", "last_day", "id"], unique=False)

    op.create_table(
        "quarantine",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("first_seen_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("source", "fingerprint", name=op.f("uq_quarantine_source_fingerprint")),
    )
    op.create_table(
        "recordings",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recording_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_raw", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("media_type", sa.Text(), server_default="", nullable=False),
        sa.Column("codec", sa.Text(), server_default="", nullable=False),
        sa.Column("container", sa.Text(), server_default="", nullable=False),
        sa.Column("room_id", sa.Text(), server_default="", nullable=False),
        sa.Column("room_name", sa.Text(), server_default="", nullable=False),
        sa.Column("session_id", sa.Text(), server_default="", nullable=False),
        sa.Column("participant_id", sa.Text(), server_default="", nullable=False),
        sa.Column("participant_name", sa.Text(), server_default="", nullable=False),
        sa.Column("external_url", sa.Text(), server_default="", nullable=False),
        sa.Column("flags", Json(), nullable=False),
        sa.Column("raw", Json(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), server_default="", nullable=False),
        sa.Column("first_seen_at", Instant(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("looked_at", Instant(), nullable=False),
        sa.Column("gone_looks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("gone_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
        sa.UniqueConstraint("source", "recording_id", name=op.f("uq_recordings_source_recording_id")),
    )
    with op.batch_alter_table("recordings", schema=None) as batch_op:
        batch_op.create_index(
            "ix_recordings_open",
            ["source", "looked_at"],
            unique=False,
            sqlite_where=sa.text("status IN ('processing', 'unknown')"),
            postgresql_where=sa.text("status IN ('processing', 'unknown')"),
        )
        batch_op.create_index("ix_recordings_recording_id", ["recording_id"], unique=False)
        batch_op.create_index("ix_recordings_source_ended_at", ["source", "ended_at"], unique=False)
        batch_op.create_index("ix_recordings_source_room_id", ["source", "room_id"], unique=False)

    op.create_table(
        "rooms",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("raw", Json(), nullable=True),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("source", "room_id", name=op.f("pk_rooms")),
    )
    op.create_table(
        "slices",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=False),
        sa.Column("listed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("new", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ids_sha256", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("source", "day", name=op.f("pk_slices")),
    )
    op.create_table(
        "sources",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("watermark", Instant(), nullable=True),
        sa.Column("covered_since", Instant(), nullable=True),
        sa.Column("last_complete_pass", Instant(), nullable=True),
        sa.Column("last_started", Instant(), nullable=True),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_sources")),
    )
    op.create_table(
        "workers",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.BigInteger(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_workers")),
    )
    op.create_table(
        "renditions",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("recording_pk", Big, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("change", sa.Text(), server_default="", nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("key", sa.Text(), server_default="", nullable=False),
        sa.Column("version_id", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), server_default="", nullable=False),
        sa.Column("token", sa.Text(), server_default="", nullable=False),
        sa.Column("content_type", sa.Text(), server_default="", nullable=False),
        sa.Column("upload_id", sa.Text(), server_default="", nullable=False),
        sa.Column("upload", Json(), nullable=True),
        sa.Column("proof", Json(), nullable=True),
        sa.Column("metadata", Json(), nullable=True),
        sa.Column("archived_at", Instant(), nullable=True),
        sa.Column("verified_at", Instant(), nullable=True),
        sa.Column("checked_at", Instant(), nullable=True),
        sa.Column("retain_until", Instant(), nullable=True),
        sa.Column("lock_mode", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("error_kind", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["recording_pk"], ["recordings.id"], name=op.f("fk_renditions_recording_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_renditions")),
        sa.UniqueConstraint("recording_pk", "name", name=op.f("uq_renditions_recording_pk_name")),
    )
    with op.batch_alter_table("renditions", schema=None) as batch_op:
        batch_op.create_index(
            "ix_renditions_due",
            ["source", "priority", "due_at"],
            unique=False,
            sqlite_where=sa.text("state = 'due'"),
            postgresql_where=sa.text("state = 'due'"),
        )
        batch_op.create_index("ix_renditions_source_state", ["source", "state"], unique=False)
        batch_op.create_index(
            "ix_renditions_stored",
            ["source", "due_at"],
            unique=False,
            sqlite_where=sa.text("state = 'stored'"),
            postgresql_where=sa.text("state = 'stored'"),
        )
        batch_op.create_index(
            "ix_renditions_transferring",
            ["lease_until"],
            unique=False,
            sqlite_where=sa.text("state = 'transferring'"),
            postgresql_where=sa.text("state = 'transferring'"),
        )
        batch_op.create_index(
            "ix_renditions_uploads",
            ["upload_id"],
            unique=False,
            sqlite_where=sa.text("upload_id != ''"),
            postgresql_where=sa.text("upload_id != ''"),
        )

    op.create_table(
        "superseded",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("rendition_pk", Big, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), server_default="", nullable=False),
        sa.Column("archived_at", Instant(), nullable=True),
        sa.Column("superseded_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["rendition_pk"], ["renditions.id"], name=op.f("fk_superseded_rendition_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_superseded")),
    )
    with op.batch_alter_table("superseded", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_superseded_rendition_pk"), ["rendition_pk"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("superseded", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_superseded_rendition_pk"))

    op.drop_table("superseded")
    with op.batch_alter_table("renditions", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_renditions_uploads", sqlite_where=sa.text("upload_id != ''"), postgresql_where=sa.text("upload_id != ''")
        )
        batch_op.drop_index(
            "ix_renditions_transferring",
            sqlite_where=sa.text("state = 'transferring'"),
            postgresql_where=sa.text("state = 'transferring'"),
        )
        batch_op.drop_index(
            "ix_renditions_stored", sqlite_where=sa.text("state = 'stored'"), postgresql_where=sa.text("state = 'stored'")
        )
        batch_op.drop_index("ix_renditions_source_state")
        batch_op.drop_index("ix_renditions_due", sqlite_where=sa.text("state = 'due'"), postgresql_where=sa.text("state = 'due'"))

    op.drop_table("renditions")
    op.drop_table("workers")
    op.drop_table("sources")
    op.drop_table("slices")
    op.drop_table("rooms")
    with op.batch_alter_table("recordings", schema=None) as batch_op:
        batch_op.drop_index("ix_recordings_source_room_id")
        batch_op.drop_index("ix_recordings_source_ended_at")
        batch_op.drop_index("ix_recordings_recording_id")
        batch_op.drop_index(
            "ix_recordings_open",
            sqlite_where=sa.text("status IN ('processing', 'unknown')"),
            postgresql_where=sa.text("status IN ('processing', 'unknown')"),
        )

    op.drop_table("recordings")
    op.drop_table("quarantine")
    with op.batch_alter_table("passes", schema=None) as batch_op:
        batch_op.drop_index("ix_passes_window")

    op.drop_table("passes")
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.drop_index("uq_ledger_seq")
        batch_op.drop_index("ix_ledger_unsealed", sqlite_where=sa.text("seq IS NULL"), postgresql_where=sa.text("seq IS NULL"))
        batch_op.drop_index("ix_ledger_recording")

    op.drop_table("ledger")
    op.drop_table("leases")
