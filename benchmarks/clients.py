"""The clients that are compared, each as one command over a stage; whoever wants another peer adds a function."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.children import ROOT, Cost, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stage import Stage

BIN = Path(sys.executable).parent
WIDTH = 16  # transfers at once, for everybody
PREFIX = "product"

CONFIGURATION = """
[catalog]
url = "{catalog}"

[storage]
url = "s3://bench/{prefix}"
endpoint_url = "{endpoint}"

[transfer]
concurrency = {width}

[web]
listen = ""

[[source]]
name = "rooms"
provider = "telnyx-rooms"
base_url = "{api}"
api_key = "{key}"
media_hosts = ["{media}"]

[[source]]
name = "calls"
provider = "telnyx-calls"
base_url = "{api}"
api_key = "{key}"
"""


def configure(stage: Stage, folder: Path, *, catalog: str = "", width: int = WIDTH) -> Path:
    """Writes the product's configuration file; its catalog is a new SQLite file unless a URL is given."""
    path = folder / "archiver.toml"
    text = CONFIGURATION.format(
        catalog=catalog or f"sqlite:///{folder}/catalog.db",
        prefix=PREFIX,
        endpoint=stage.endpoint,
        width=width,
        api=stage.api,
        key=stage.key,
        media=stage.media.partition("://")[2],
    )
    path.write_text(text)
    return path


def sync(stage: Stage, folder: Path, *, source: str = "rooms", enough: Callable[[], bool] | None = None) -> Cost:
    """`archiver sync` of one source, as an operator runs it, with the configuration in the folder; raises RuntimeError where it had to
    try anything twice.
    """
    command = [sys.executable, "-m", "archiver", "--config", str(folder / "archiver.toml"), "sync", "--source", source, "--json"]
    cost = run(command, environment=stage.environment, folder=folder, enough=enough)
    failed = next((line for line in (folder / "err").read_text().splitlines() if '"attempt_failed"' in line), None)
    if failed is not None:  # nothing here gives cause to; what was tried twice is no figure
        raise RuntimeError(f"an attempt failed: {failed}")
    return cost


def prepared(stage: Stage, folder: Path, **settings: Any) -> None:
    """A folder as an archive of yesterday leaves it: a catalog with its schema, a store that was tried out, no recording yet."""
    template = stage.folder / "prepared"
    if not template.exists():
        template.mkdir()
        configure(stage, template)
        sync(stage, template, source="calls")
    folder.mkdir(exist_ok=True)
    for path in template.glob("catalog.db*"):
        shutil.copy(path, folder)
    configure(stage, folder, **settings)


def product(stage: Stage, folder: Path, **settings: Any) -> Cost:
    """One run over everything the source holds: list, claim, transfer, catalog, history, verify, seal."""
    prepared(stage, folder, **settings)
    return sync(stage, folder)


def start_up(stage: Stage, folder: Path) -> Cost:
    """A run that finds an empty source: interpreter, imports, configuration, catalog, one poll, the end."""
    prepared(stage, folder)
    return sync(stage, folder, source="calls")


def _remote(stage: Stage, folder: Path) -> str:
    return f":s3,provider=Other,endpoint='{stage.endpoint}',access_key_id=test,secret_access_key=test,region=us-east-1:bench/{folder.name}"


def _rclone(stage: Stage, *words: str, width: int = WIDTH) -> list[str]:
    quick = ["--transfers", str(width), "--checkers", str(width), "--s3-no-head", "--s3-no-check-bucket", "--no-traverse"]
    quick += ["--stats", "0", "--log-level", "ERROR", "--ca-cert", str(stage.certificates.authority)]
    return [str(BIN / "rclone"), *words, *quick]


def rclone_copyurl(stage: Stage, folder: Path, *flags: str, width: int = WIDTH) -> Cost:
    """One batch of `rclone copyurl`: no hash kept, no HEAD after the put."""
    urls = folder / "urls.csv"
    with urls.open("w", newline="") as file:
        csv.writer(file).writerows([f"{stage.media}/{item['id']}", item["id"]] for item in stage.expected)
    words = _rclone(stage, "copyurl", "--urls", str(urls), _remote(stage, folder), *flags, width=width)
    return run(words, environment=stage.environment, folder=folder)


def rclone_copy(stage: Stage, folder: Path) -> Cost:
    """One batch of `rclone copy` from its HTTP backend."""
    names = folder / "names"
    names.write_text("".join(f"{item['id']}\n" for item in stage.expected))
    source = f":http,url='{stage.media}/':"
    words = _rclone(stage, "copy", source, _remote(stage, folder), "--files-from-raw", str(names), "--ignore-checksum")
    return run(words, environment=stage.environment, folder=folder)


def boto3_job(stage: Stage, folder: Path) -> Cost:
    """The same job as most people would write it: threads, requests to the API, put_object, an ORM."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.boto_job",
        stage.api,
        stage.key,
        stage.endpoint,
        folder.name,
        str(folder / "boto.db"),
    ]
    return run([*words, str(WIDTH)], environment=stage.environment, folder=folder)


def built_floor(folder: Path) -> Path:
    """The floor's program, compiled into a folder; raises FileNotFoundError without a C compiler, CalledProcessError without OpenSSL's headers."""
    binary = folder / "floor-program"
    if not binary.exists():
        source = str(ROOT / "benchmarks" / "floor.c")
        subprocess.run(["cc", "-O2", "-o", str(binary), source, "-lssl", "-lcrypto", "-lpthread"], check=True)
    return binary


def floor(stage: Stage, folder: Path) -> Cost:
    """A C program that copies and hashes, and does nothing else."""
    ports = [url.rpartition(":")[2] for url in (stage.media, stage.endpoint)]
    authority = str(stage.certificates.authority) if stage.tls else ""
    return _hashing(stage, folder, [str(built_floor(stage.folder)), str(WIDTH), str(16 * 2**20), *ports, authority])


def bare(stage: Stage, folder: Path) -> Cost:
    """The product's tools by themselves."""
    words = [sys.executable, "-m", "benchmarks.bare", str(WIDTH), stage.media, stage.endpoint]
    return _hashing(stage, folder, words)


def _hashing(stage: Stage, folder: Path, words: list[str]) -> Cost:
    """A run of what reads ids and prints them with their digests."""
    (folder / "ids").write_text("".join(f"{item['id']}\n" for item in stage.expected))
    done = run(["sh", "-c", 'exec "$0" "$@" < ids', *words], environment=stage.environment, folder=folder)
    found = dict(line.split() for line in done.out.splitlines())
    if found != {item["id"]: item["sha256"] for item in stage.expected}:
        raise RuntimeError(f"{words[0]} hashed something else than the source has")
    return done
