"""Keep what fixity found, and how long evidence is locked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from archiver.catalog.tables import Big, Instant

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "findings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rendition_pk", Big, nullable=True),
        sa.Column("says", sa.Text(), server_default="", nullable=False),
        sa.Column("found_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["rendition_pk"], ["renditions.id"], name=op.f("fk_findings_rendition_pk")),
        sa.PrimaryKeyConstraint("key", "version_id", "kind", name=op.f("pk_findings")),
    )
    op.create_index(op.f("ix_findings_rendition_pk"), "findings", ["rendition_pk"], unique=False)
    op.add_column("superseded", sa.Column("checked_at", Instant(), nullable=True))
    op.add_column("superseded", sa.Column("damaged", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("segments", sa.Column("locked_until", Instant(), nullable=True))
    op.add_column("attestations", sa.Column("locked_until", Instant(), nullable=True))


def downgrade() -> None:
    op.drop_column("attestations", "locked_until")
    op.drop_column("segments", "locked_until")
    op.drop_column("superseded", "damaged")
    op.drop_column("superseded", "checked_at")
    op.drop_index(op.f("ix_findings_rendition_pk"), "findings")
    op.drop_table("findings")
