"""Writes a BagIt 1.0 bag (RFC 8493): payload with SHA-256, manifests, and the script that checks it without us."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from archiver.domain import verify_bag
from archiver.domain.errors import StorageFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


class Bag:
    """A bag under construction in an empty folder; manifests are written last, so an unfinished bag is never a valid one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._payload: dict[str, str] = {}
        self._octets = 0

    async def add(self, path: str, chunks: AsyncIterator[bytes]) -> str:
        """Streams a payload file to `data/<path>`; returns its SHA-256 (hex). Raises StorageFull."""
        target = self._root / "data" / path
        digest = hashlib.sha256()
        try:
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            file = await asyncio.to_thread(target.open, "xb")
            try:
                async for chunk in chunks:
                    digest.update(chunk)
                    self._octets += len(chunk)
                    await asyncio.to_thread(file.write, chunk)
            finally:
                await asyncio.to_thread(file.close)
        except OSError as error:
            raise StorageFull(f"{target} cannot be written: {error.strerror}") from None
        self._payload[f"data/{path}"] = digest.hexdigest()
        return digest.hexdigest()

    async def add_bytes(self, path: str, data: bytes) -> str:
        """The same for a small file."""

        async def once() -> AsyncIterator[bytes]:
            yield data

        return await self.add(path, once())

    def finish(self, info: Mapping[str, str]) -> None:
        """Writes declaration, information, script and manifests; blocks."""
        (self._root / "data").mkdir(exist_ok=True)
        about = {**info, "Payload-Oxum": f"{self._octets}.{len(self._payload)}"}
        script = verify_bag.__loader__.get_source(verify_bag.__name__)  # type: ignore[union-attr]
        tags = {
            "bagit.txt": DECLARATION,
            "bag-info.txt": "".join(f"{name}: {' '.join(value.split())}\n" for name, value in about.items()),
            "manifest-sha256.txt": _manifest(self._payload),
            "verify.py": script,
        }
        listed = {}
        for name, text in tags.items():
            data = text.encode()
            (self._root / name).write_bytes(data)
            listed[name] = hashlib.sha256(data).hexdigest()
        (self._root / "tagmanifest-sha256.txt").write_text(_manifest(listed), encoding="utf-8")


def _manifest(files: Mapping[str, str]) -> str:
    """`sha256sum -c` reads this; line breaks and per cents in names are encoded as RFC 8493 says."""
    escaped = {path.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"): digest for path, digest in files.items()}
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(escaped.items()))
