"""Keep how many renditions are in which state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "state", name=op.f("pk_tallies")),
    )
    op.execute("INSERT INTO tallies (source, state, n) SELECT source, state, count(*) FROM renditions GROUP BY source, state")


def downgrade() -> None:
    op.drop_table("tallies")
