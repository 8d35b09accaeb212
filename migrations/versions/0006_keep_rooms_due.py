"""Keep which rooms are to be asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "rooms_due",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "room_id", name=op.f("pk_rooms_due")),
    )
    op.execute(
        "INSERT INTO rooms_due (source, room_id) SELECT source, room_id FROM recordings WHERE room_id != ''"
        " EXCEPT SELECT source, room_id FROM rooms"
    )


def downgrade() -> None:
    op.drop_table("rooms_due")
