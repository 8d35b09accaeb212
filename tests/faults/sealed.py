"""The sealed history, read without the program's help: is every segment chained to the one before, and none missing?"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa

from archiver.catalog.tables import ledger
from archiver.domain.invariants import Violation

L = ledger.c


async def chain(database: Any, storage: Any) -> list[Violation]:
    """I21: the segments of the archive are numbered and chained without a gap, and hold the lines that the catalog calls sealed."""
    found, previous, seq, number = [], "", 0, 0
    async with database.read() as conn:
        query = sa.select(L.seq, L.event, L.recording_id, L.to_state).where(L.seq.is_not(None)).order_by(L.seq)
        known = {row.seq: (row.event, row.recording_id, row.to_state) for row in (await conn.execute(query)).all()}
    numbered = len(known)
    async for item in storage.keys("_ledger/"):
        body = b"".join([chunk async for chunk in storage.read(item.key, item.version_id)])
        head, *lines = [json.loads(line) for line in body.splitlines()]
        number += 1
        wanted = {
            "segment": number,
            "first_seq": seq + 1,
            "last_seq": seq + len(lines),
            "count": len(lines),
            "previous_sha256": previous,
        }
        if {name: head[name] for name in wanted} != wanted:
            found.append(Violation(law="I21 chain", thing=item.key, says=f"begins with {head}, must be {wanted}"))
        for line in lines:
            seq += 1
            if line["seq"] != seq or known.get(seq) != (line["event"], line["recording_id"], line["to"]):
                found.append(Violation(law="I21 sealed", thing=item.key, says=f"line {line['seq']} is not the catalog's {seq}"))
        previous = hashlib.sha256(body).hexdigest()
    if seq > numbered:
        found.append(
            Violation(law="I21 sealed", thing="the archive", says=f"{seq} lines in segments, {numbered} numbered in the catalog")
        )
    return found
