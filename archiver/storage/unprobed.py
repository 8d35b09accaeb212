"""What is believed of a store before its probe: nothing."""

from __future__ import annotations

from archiver.domain.ports import Abilities

UNPROBED = Abilities(
    refuses_wrong_checksum=False,
    refuses_wrong_part=False,
    proves_whole=False,
    conditional_put=False,
    conditional_complete=False,
    versioning=False,
    lock=False,
    keeps_metadata=False,
    notes=("This store has not been probed yet.",),
)
