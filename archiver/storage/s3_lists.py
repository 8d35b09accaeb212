"""S3's lists: every page of them, asked for again where no answer came.

Not through boto3, see s3_xml.py. What `Requests` is made of, because both need the bucket, the prefix and the wire.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from archiver.domain.errors import StorageUnavailable
from archiver.domain.ports import OpenUpload, StoredObject
from archiver.storage import s3_headers, s3_xml
from archiver.storage.s3_errors import S3Missing
from archiver.storage.s3_wire import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from datetime import datetime

    from archiver.storage.s3_wire import Reply, Wire
    from archiver.storage.settings import S3Settings

T = TypeVar("T")
_ATTEMPTS = 3
_PAUSE = 0.2  # seconds before the second of them, four times as long before the third


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    """One of S3's lists. `markers` says which element of a page is which parameter of the next request."""

    operation: str
    query: Mapping[str, str]
    item: str
    markers: Mapping[str, str]
    empty: str = ""  # the code by which some endpoints say that there never was anything


_VERSIONS = _List(
    operation="list_object_versions",
    query={"versions": "", "encoding-type": "url"},
    item="Version",
    markers={"key-marker": "NextKeyMarker", "version-id-marker": "NextVersionIdMarker"},
)
_OBJECTS = _List(
    operation="list_objects_v2",
    query={"list-type": "2", "encoding-type": "url"},
    item="Contents",
    markers={"continuation-token": "NextContinuationToken"},
)
_UPLOADS = _List(
    operation="list_multipart_uploads",
    query={"uploads": ""},
    item="Upload",
    markers={"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"},
    empty="NoSuchUpload",
)


class Lists:
    """The lists of one bucket and prefix."""

    def __init__(self, settings: S3Settings, wire: Wire) -> None:
        self.settings = settings
        self._wire = wire
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._owner = {"x-amz-expected-bucket-owner": settings.expected_bucket_owner} if settings.expected_bucket_owner else {}

    async def versions(self, prefix: str) -> AsyncIterator[tuple[StoredObject, datetime]]:
        """The current versions under a relative prefix in key order, each with when it was written."""

        def read(item: Mapping[str, str]) -> tuple[StoredObject, datetime] | None:
            return (self._listed(item), s3_xml.instant(item["LastModified"])) if item["IsLatest"] == "true" else None

        async for found in self._entries(_VERSIONS, prefix, read):
            yield found

    async def objects(self, prefix: str) -> AsyncIterator[StoredObject]:
        """The objects under a relative prefix in key order, without versions."""
        async for found in self._entries(_OBJECTS, prefix, self._listed):
            yield found

    async def uploads(self, prefix: str = "") -> AsyncIterator[OpenUpload]:
        """The unfinished multipart uploads under a relative prefix."""

        def read(item: Mapping[str, str]) -> OpenUpload:
            key = item["Key"].removeprefix(self._prefix)
            return OpenUpload(key=key, upload_id=item["UploadId"], begun_at=s3_xml.instant(item["Initiated"]))

        async for found in self._entries(_UPLOADS, prefix, read):
            yield found

    async def _entries(self, kind: _List, prefix: str, read: Callable[[Mapping[str, str]], T | None]) -> AsyncIterator[T]:
        """What `read` makes of the entries of every page."""
        more: dict[str, str] = {}
        what = self._what(kind.operation, prefix)
        while True:
            try:
                page = await self._page(what, kind.item, {**kind.query, "prefix": self._prefix + prefix, **more})
            except S3Missing as missing:
                if missing.code == kind.empty:
                    return
                raise
            for entry in page.items:
                try:
                    found = read(entry)
                except (KeyError, ValueError):
                    raise StorageUnavailable(f"{what}: the answer has an entry that is none") from None
                if found is not None:
                    yield found
            if not page.truncated:
                return
            following = {marker: page.about[name] for marker, name in kind.markers.items() if page.about.get(name)}
            if not following or following == more:
                raise StorageUnavailable(f"{what}: says there is more, and not where")
            more = following

    async def _page(self, what: str, item: str, query: Mapping[str, str]) -> s3_xml.Page:
        """One page of a list."""
        request = Request(method="GET", what=what, query=tuple(query.items()), headers=self._owner, most=s3_xml.MOST)
        try:
            return s3_xml.page((await self.insist(request)).body, item)
        except ValueError as error:
            raise StorageUnavailable(f"{what}: the answer is {error}") from None

    async def insist(self, request: Request) -> Reply:
        """The answer to what may be asked for twice, once more where none came: an audit must not end for one line that broke."""
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self._wire.send(request)
            except StorageUnavailable:
                await asyncio.sleep(_PAUSE * 4 ** (attempt - 1))
        return await self._wire.send(request)

    def _listed(self, item: Mapping[str, str]) -> StoredObject:
        return StoredObject(
            key=item["Key"].removeprefix(self._prefix),
            version_id=s3_headers.version(item.get("VersionId")),
            size=int(item["Size"]),
        )

    def _what(self, operation: str, key: str) -> str:
        return f"{operation} of s3://{self.settings.bucket}/{self._prefix}{key}"
