"""Workloads that copy: S and L beside rclone and the floor, S beside the same job with boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import clients
from benchmarks.rounds import PRODUCT, START, alternate, beyond_start, told
from benchmarks.stage import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from benchmarks.children import Cost
    from benchmarks.options import Options
    from benchmarks.stage import Stage

COPYURL, COPY, FLOOR, BOTO3 = "rclone copyurl --urls", "rclone copy :http:", "floor (C)", "requests + boto3 + ORM"
BARE = "aiohttp alone"
GB = 1e9

# What each does with the bytes beyond copying them, as far as the sink cannot see it.
HASHES = {
    PRODUCT: "SHA-256 of every byte, kept in catalog, object and history; the store's checksum proves it",
    COPYURL: "none of the whole object",
    COPY: "none of the whole object",
    FLOOR: "SHA-256 of every byte, printed",
    BARE: "SHA-256 of every byte, printed",
    BOTO3: "SHA-256 of every byte, kept in catalog and object",
}


def small(options: Options, folder: Path) -> dict[str, Any]:
    """S over TLS: many small objects."""
    peers = {COPYURL: clients.rclone_copyurl, COPY: clients.rclone_copy, BARE: clients.bare, FLOOR: clients.floor}
    return _small(options, folder, peers, count=options.pick(quick=200, usual=2_000), rounds=options.pick(quick=2, usual=5))


def boto3(options: Options, folder: Path) -> dict[str, Any]:
    """S over TLS beside the same job with boto3."""
    count = options.pick(quick=200, usual=2_000)
    return _small(options, folder, {BOTO3: clients.boto3_job}, count=count, rounds=options.pick(quick=1, usual=5))


def _small(
    options: Options, folder: Path, peers: Mapping[str, Callable[[Stage, Path], Cost]], *, count: int, rounds: int
) -> dict[str, Any]:
    count, rounds = options.count or count, options.rounds or rounds
    with stage(folder, "--count", str(count), tls=True) as place:
        clients.prepared(place, folder / "first")  # so that nobody pays for the template
        turns = alternate(place, {PRODUCT: clients.product, START: clients.start_up, **peers}, rounds)
        return {
            "tls": True,
            "objects": count,
            "bytes": place.size,
            "rounds": rounds,
            "clients": _hashed(told(turns, per=count / 1000, unit="cpu_ms_an_object")),
            "product": beyond_start(turns, per=count / 1000),
        }


def large(options: Options, folder: Path) -> dict[str, Any]:
    """L over TLS and plain: a few large files."""
    size = options.pick(quick=256 * 2**20, usual=2**30)
    count, rounds = options.count or options.pick(quick=1, usual=2), options.rounds or options.pick(quick=1, usual=5)
    peers = {COPYURL: _copyurl_large, FLOOR: clients.floor}
    found: dict[str, Any] = {"file_bytes": size, "files": count, "rounds": rounds}
    for tls in (True, False):
        name = "tls" if tls else "plain"
        with stage(folder / name, "--count", str(count), "--sizes", str(size), str(size), "--alike", tls=tls) as place:
            clients.prepared(place, folder / name / "first")
            turns = alternate(place, {PRODUCT: clients.product, START: clients.start_up, **peers}, rounds, label=f"{name}, ")
            found[name] = {
                "clients": _hashed(told(turns, per=place.size / GB, unit="cpu_s_a_gb")),
                "product": beyond_start(turns, per=place.size / GB),
            }
    return found


def _copyurl_large(stage: Stage, folder: Path) -> Cost:
    return clients.rclone_copyurl(stage, folder, "--s3-chunk-size", "16M")


def _hashed(found: dict[str, Any]) -> dict[str, Any]:
    return {name: {**values, "hashes": HASHES[name]} for name, values in found.items()}
