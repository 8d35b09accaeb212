"""Keep evidence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from archiver.catalog.tables import Big, Instant, Json

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "attestations",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attestations")),
    )
    op.create_table(
        "erasures",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("selector", Json(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_at", Instant(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_table(
        "holds",
        sa.Column("id", Big, autoincrement=True, nullable=False),
        sa.Column("case_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("selector", Json(), nullable=False),
        sa.Column("future", sa.Boolean(), nullable=False),
        sa.Column("placed_at", Instant(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("released_at", Instant(), nullable=True),
        sa.Column("released_by", sa.Text(), server_default="", nullable=False),
        sa.Column("release_reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        sa.UniqueConstraint("case_name", name=op.f("uq_holds_case_name")),
    )
    op.create_table(
        "manifests",
        sa.Column("manifest", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), server_default="", nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("written_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("manifest", name=op.f("pk_manifests")),
    )
    op.create_table(
        "notes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", Json(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notes")),
    )
    op.create_table(
        "policies",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", Json(), nullable=False),
        sa.Column("first_seen_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_policies")),
    )
    op.create_table(
        "segments",
        sa.Column("segment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_seq", Big, nullable=False),
        sa.Column("last_seq", Big, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("previous_sha256", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), server_default="", nullable=False),
        sa.Column("sealed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("segment", name=op.f("pk_segments")),
    )
    op.create_table(
        "erasure_items",
        sa.Column("erasure_id", Big, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recording_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("lawful_at", Instant(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("executed_at", Instant(), nullable=True),
        sa.Column("certificate", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasures.id"], name=op.f("fk_erasure_items_erasure_id")),
        sa.PrimaryKeyConstraint("erasure_id", "source", "recording_id", name=op.f("pk_erasure_items")),
    )
    op.create_index("ix_erasure_items_recording", "erasure_items", ["source", "recording_id"], unique=False)

    op.create_table(
        "hold_members",
        sa.Column("hold_id", Big, nullable=False),
        sa.Column("rendition_pk", Big, nullable=False),
        sa.Column("held_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["hold_id"], ["holds.id"], name=op.f("fk_hold_members_hold_id")),
        sa.ForeignKeyConstraint(["rendition_pk"], ["renditions.id"], name=op.f("fk_hold_members_rendition_pk")),
        sa.PrimaryKeyConstraint("hold_id", "rendition_pk", name=op.f("pk_hold_members")),
    )
    op.create_index(op.f("ix_hold_members_rendition_pk"), "hold_members", ["rendition_pk"], unique=False)

    op.add_column("passes", sa.Column("last_started_at", Instant(), nullable=True))
    op.add_column("passes", sa.Column("times", sa.Integer(), server_default="1", nullable=False))

    op.add_column("recordings", sa.Column("release", sa.Text(), server_default="", nullable=False))
    op.add_column("recordings", sa.Column("released_at", Instant(), nullable=True))
    op.add_column("recordings", sa.Column("manifest", sa.Integer(), nullable=True))
    op.create_index(
        "ix_recordings_unmanifested",
        "recordings",
        ["id"],
        unique=False,
        sqlite_where=sa.text("manifest IS NULL"),
        postgresql_where=sa.text("manifest IS NULL"),
    )

    op.add_column("renditions", sa.Column("policy", sa.Text(), server_default="", nullable=False))
    op.add_column("renditions", sa.Column("policy_fingerprint", sa.Text(), server_default="", nullable=False))
    op.add_column("renditions", sa.Column("store_hold", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("renditions", "store_hold")
    op.drop_column("renditions", "policy_fingerprint")
    op.drop_column("renditions", "policy")

    op.drop_index(
        "ix_recordings_unmanifested",
        "recordings",
        sqlite_where=sa.text("manifest IS NULL"),
        postgresql_where=sa.text("manifest IS NULL"),
    )
    op.drop_column("recordings", "manifest")
    op.drop_column("recordings", "released_at")
    op.drop_column("recordings", "release")

    op.drop_column("passes", "times")
    op.drop_column("passes", "last_started_at")

    op.drop_index(op.f("ix_hold_members_rendition_pk"), "hold_members")

    op.drop_table("hold_members")
    op.drop_index("ix_erasure_items_recording", "erasure_items")

    op.drop_table("erasure_items")
    op.drop_table("segments")
    op.drop_table("policies")
    op.drop_table("notes")
    op.drop_table("manifests")
    op.drop_table("holds")
    op.drop_table("erasures")
    op.drop_table("attestations")
