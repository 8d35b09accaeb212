"""Keep the end of a recording with its renditions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from archiver.catalog.tables import Instant

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("renditions", sa.Column("ended_at", Instant(), nullable=True))
    op.drop_index("ix_renditions_source_state", "renditions")  # before the rows change: each change would go through it
    op.execute("UPDATE renditions SET ended_at = (SELECT ended_at FROM recordings WHERE recordings.id = renditions.recording_pk)")
    columns = ["source", "state", "ended_at", "archived_at", "priority"]
    op.create_index("ix_renditions_source_state", "renditions", columns, unique=False)
    where = sa.text("error != ''")
    columns = ["source", "state"]
    op.create_index("ix_renditions_failing", "renditions", columns, unique=False, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_passes_started", "passes", ["source", "started_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_passes_started", "passes")
    op.drop_index("ix_renditions_failing", "renditions")
    op.drop_index("ix_renditions_source_state", "renditions")
    op.create_index("ix_renditions_source_state", "renditions", ["source", "state"], unique=False)
    op.drop_column("renditions", "ended_at")
