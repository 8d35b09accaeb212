"""Who works here: worker rows, lease rows, and what dead workers leave behind."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from archiver.catalog import work
from archiver.catalog.tables import leases, workers

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from archiver.catalog.database import Tx

FORGOTTEN = timedelta(days=1)  # a worker row nobody renewed for a day names nobody who still runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One process at work on a catalog. `born` is its start in kernel ticks, so that a pid used again is not mistaken for it."""

    name: str
    host: str
    pid: int
    born: int
    command: str


def born(pid: int) -> int:
    """Kernel ticks at which a process started, 0 where there is no such process (or no /proc)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def this_worker(command: str, host: str, token: str) -> Worker:
    """The worker that this process is; `token` keeps two runs with one pid apart."""
    pid = os.getpid()
    return Worker(name=f"{command}@{host}:{pid}:{token[:8]}", host=host, pid=pid, born=born(pid), command=command)


async def enter(tx: Tx, me: Worker) -> int:
    """Registers this worker and takes over from dead ones of this host; returns how many claims came back that way."""
    c = workers.c
    mine = [row for row in (await tx.conn.execute(sa.select(workers).where(c.host == me.host))).all() if row.worker != me.name]
    dead = [row.worker for row in mine if born(row.pid) != row.born]
    returned = await bury(tx, me.name, dead) if dead else 0
    await tx.execute(sa.delete(workers).where((c.seen_at < tx.now - FORGOTTEN) | (c.worker == me.name)))
    row = {"worker": me.name, "host": me.host, "pid": me.pid, "born": me.born, "command": me.command, "seen_at": tx.now}
    await tx.execute(sa.insert(workers), [row])
    return returned


async def bury(tx: Tx, actor: str, dead: Sequence[str]) -> int:
    """Frees what dead workers held at once, without waiting for their leases."""
    returned = await work.hand_back(tx, actor, dead, "its worker died")
    await tx.execute(sa.delete(leases).where(_held_by(dead)))
    await tx.execute(sa.delete(workers).where(workers.c.worker.in_(dead)))
    return returned


def _held_by(workers: Sequence[str]) -> sa.ColumnElement[bool]:
    """Leases of these workers, those included that a part of one holds under a name of its own: `<worker>+seal`."""
    mine = [leases.c.worker == name for name in workers]
    parts = [leases.c.worker.startswith(f"{name}+", autoescape=True) for name in workers]
    return sa.or_(*mine, *parts)


async def leave(tx: Tx, me: Worker) -> None:
    """Takes this worker's row and leases away."""
    await tx.execute(sa.delete(leases).where(_held_by([me.name])))
    await tx.execute(sa.delete(workers).where(workers.c.worker == me.name))


async def heartbeat(tx: Tx, me: Worker, held: Collection[int]) -> None:
    """Renews the worker's row and its hold on the entries `held`."""
    await tx.execute(sa.update(workers).where(workers.c.worker == me.name).values(seen_at=tx.now))
    if held:
        await work.heartbeat(tx, me.name, held)


async def acquire(tx: Tx, me: Worker, name: str, seconds: float) -> bool:
    """Takes or renews a lease; False while somebody else's has not run out."""
    c = leases.c
    until = tx.now + timedelta(seconds=seconds)
    free = (c.worker == me.name) | (c.until < tx.now)
    result = await tx.execute(sa.update(leases).where(c.name == name, free).values(worker=me.name, until=until))
    if result.rowcount:
        return True
    if (await tx.conn.execute(sa.select(c.name).where(c.name == name))).scalar() is not None:
        return False
    await tx.execute(sa.insert(leases), [{"name": name, "worker": me.name, "until": until}])
    return True


async def surrender(tx: Tx, me: Worker, name: str) -> None:
    """Gives a lease back."""
    await tx.execute(sa.delete(leases).where(leases.c.name == name, leases.c.worker == me.name))
