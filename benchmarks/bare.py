"""What the product's tools cost by themselves: aiohttp's client down and up, SHA-256 of every byte, and nothing else.

    python -m benchmarks.bare WIDTH MEDIA ENDPOINT < ids

No list, no catalog, no signature, no retries, no check of what was stored. Prints each recording's SHA-256. Beside a peer it says
how much of the distance is the tools', and beside the product how much is ours.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import sys
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Iterator


async def copied(session: aiohttp.ClientSession, media: str, target: str, ident: str) -> str:
    """Copies one small recording; its digest."""
    digest, held = hashlib.sha256(), []
    async with session.get(f"{media}/{ident}") as response:
        while chunk := await response.content.readany():
            digest.update(chunk)
            held.append(chunk)
    async with session.put(f"{target}/{ident}", data=b"".join(held)) as answer:
        await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the sink answered {answer.status}")
    return digest.hexdigest()


async def main(width: int, media: str, endpoint: str) -> None:
    """Copies everything that standard input names, `width` at once."""
    authority = os.environ.get("SSL_CERT_FILE", "")
    context = ssl.create_default_context(cafile=authority) if media.startswith("https") else True
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    waiting: Iterator[str] = iter(sys.stdin.read().split())
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=timeout) as session:

        async def work() -> None:
            for ident in waiting:
                print(ident, await copied(session, media, f"{endpoint}/bench/bare", ident))

        await asyncio.gather(*(work() for _ in range(width)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
