"""What a probe found, as it may be remembered between runs, and taken up again for the same endpoint, bucket and program only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from archiver.domain.ports import Abilities
from archiver.storage.canaries import BEHIND, Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archiver.storage.settings import S3Settings

FORMAT = 1  # counted up when the probe tries out something else


def fingerprint(settings: S3Settings) -> str:
    """Stands for everything a probe's findings depend on but the endpoint itself."""
    return hashlib.sha256(json.dumps([FORMAT, asdict(settings)], sort_keys=True).encode()).hexdigest()


def written(settings: S3Settings, abilities: Abilities, dialect: Dialect) -> dict[str, Any]:
    """The findings as JSON."""
    lasting = replace(abilities, notes=tuple(note for note in abilities.notes if BEHIND not in note))
    return {"fingerprint": fingerprint(settings), "abilities": asdict(lasting), "dialect": asdict(dialect)}


def read(settings: S3Settings, memory: Mapping[str, Any]) -> tuple[Abilities, Dialect] | None:
    """The findings again; None where they are of something else, or not to be understood."""
    try:
        if memory["fingerprint"] != fingerprint(settings):
            return None
        abilities = Abilities(**{**memory["abilities"], "notes": tuple(memory["abilities"]["notes"])})
        return abilities, Dialect(**memory["dialect"])
    except (KeyError, TypeError):
        return None
