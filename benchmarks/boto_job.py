"""The product's job as most people would write it: requests, threads, boto3's put_object, one ORM object for each recording.

    python -m benchmarks.boto_job API KEY ENDPOINT PREFIX CATALOG WIDTH

It lists, downloads into memory, hashes, puts with an S3 checksum of SHA-256, and keeps a catalog and a history in SQLite. Where there
is a choice it is the quicker one: a session and a client for all threads, write-ahead logging, one commit for a recording, the digest
computed once and given to boto3. It does not verify what was stored, try again, or survive being killed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from typing import Any

import boto3
import requests
from botocore.config import Config
from requests.adapters import HTTPAdapter
from sqlalchemy import ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    """Its tables."""


class Recording(Base):
    """One recording and where it is."""

    __tablename__ = "recordings"
    id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="due", index=True)
    raw: Mapped[str]
    first_seen_at: Mapped[datetime]
    key: Mapped[str | None]
    size: Mapped[int | None]
    sha256: Mapped[str | None]
    stored_at: Mapped[datetime | None]
    history: Mapped[list[History]] = relationship(back_populates="recording")


class History(Base):
    """One change of a recording."""

    __tablename__ = "history"
    id: Mapped[int] = mapped_column(primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"), index=True)
    at: Mapped[datetime]
    event: Mapped[str]
    recording: Mapped[Recording] = relationship(back_populates="history")


def discover(web: requests.Session, api: str, key: str, session: Session) -> dict[str, str]:
    """Lists everything into the catalog; where each recording can be downloaded."""
    links = {}
    number = pages = 1
    while number <= pages:
        words = {"page[number]": number, "page[size]": 250}
        answer = web.get(f"{api}/v2/room_recordings", params=words, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        answer.raise_for_status()
        document = answer.json()
        pages = document["meta"]["total_pages"]
        now = datetime.now(UTC)
        for item in document["data"]:
            if session.get(Recording, item["id"]) is None:
                recording = Recording(id=item["id"], raw=json.dumps(item), first_seen_at=now)
                recording.history.append(History(at=now, event="discovered"))
                session.add(recording)
            links[item["id"]] = item["download_url"]
        session.commit()
        number += 1
    return links


def transfer(web: requests.Session, s3: Any, link: str, key: str) -> tuple[str, int, str]:
    """One recording from its link to its key."""
    answer = web.get(link, timeout=60)
    answer.raise_for_status()
    body = answer.content
    digest = hashlib.sha256(body)
    s3.put_object(
        Bucket="bench",
        Key=key,
        Body=body,
        ContentType=answer.headers["Content-Type"],
        ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
        Metadata={"sha256": digest.hexdigest()},
    )
    return key, len(body), digest.hexdigest()


def main(words: list[str]) -> None:
    """The whole job."""
    api, api_key, endpoint, prefix, catalog, width = words
    engine = create_engine(f"sqlite:///{catalog}")
    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA journal_mode=WAL"))
    Base.metadata.create_all(engine)
    web = requests.Session()
    web.mount(endpoint.partition(":")[0] + "://", HTTPAdapter(pool_connections=4, pool_maxsize=int(width)))
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=Config(max_pool_connections=int(width)))
    with Session(engine) as session, ThreadPoolExecutor(int(width)) as pool:
        links = discover(web, api, api_key, session)
        due = session.scalars(select(Recording).where(Recording.state == "due")).all()
        under_way = {pool.submit(transfer, web, s3, links[item.id], f"{prefix}/{item.id}"): item for item in due}
        for done in as_completed(under_way):
            recording = under_way[done]
            recording.key, recording.size, recording.sha256 = done.result()
            recording.state, recording.stored_at = "stored", datetime.now(UTC)
            recording.history.append(History(at=recording.stored_at, event="stored"))
            session.commit()


if __name__ == "__main__":
    main(sys.argv[1:])
