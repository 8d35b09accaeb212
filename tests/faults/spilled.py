"""Secrets that got out: into any text of the catalog, or into what the program said."""

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from archiver.catalog.tables import metadata
from archiver.domain.invariants import Violation

PRESIGNED = re.compile(
    r"(?:x-amz-(?:signature|credential|security-token)|[?&](?:signature|awsaccesskeyid))=(?!\*)[^&\s\"']+", re.IGNORECASE
)


async def spilled(database: Any, texts: Mapping[str, str], secrets: frozenset[str]) -> list[Violation]:
    """I22: of every row of every table, as text, and of what the program said."""
    found = [item for name, text in texts.items() for item in _leaks(name, text, secrets)]
    async with database.read() as conn:
        for table in metadata.sorted_tables:
            columns = [sa.cast(column, sa.Text) for column in table.c if _is_text(column)]
            for row in (await conn.execute(sa.select(*columns).select_from(table))).all() if columns else ():
                text = "\n".join(value for value in row if value)
                found += _leaks(f"{table.name}: {text[:60]!r}", text, secrets)
    return found


def _is_text(column: Any) -> bool:
    kind = column.type.impl if isinstance(column.type, sa.types.TypeDecorator) else column.type
    return isinstance(kind, sa.Text)


def _leaks(where: str, text: str, secrets: frozenset[str]) -> list[Violation]:
    found = [
        Violation(law="I22 secret", thing=where, says=f"holds {secret[:4]}…") for secret in secrets if secret and secret in text
    ]
    presigned = PRESIGNED.search(text)
    return [*found, Violation(law="I22 presigned", thing=where, says=f"holds {presigned[0][:24]}…")] if presigned else found
