"""One daemon to a SQLite catalog: a lock beside the file, with the holder's name in it."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from archiver.domain.errors import CatalogHeld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def sole_daemon(path: Path, me: str) -> Iterator[None]:
    """Holds `<catalog>.daemon` while the block runs; the kernel lets go of it when the process dies, however it dies.

    Raises CatalogHeld, naming the holder.
    """
    with path.with_name(f"{path.name}.daemon").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise CatalogHeld(
                f"{path} is worked on by another daemon: {holder}",
                hint="one daemon to a SQLite catalog; for several, put the catalog into PostgreSQL",
            ) from None
        handle.truncate(0)
        handle.write(f"{me}\n")
        handle.flush()
        yield
        handle.truncate(0)
