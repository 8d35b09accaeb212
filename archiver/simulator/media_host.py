"""The media host: presigned files with Range, If-Range and ETag, and XML errors as S3 writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from archiver.simulator import encryption, presign
from archiver.simulator.messages import Reply, Request, Stretch
from archiver.simulator.recordings import Source

if TYPE_CHECKING:
    from archiver.simulator.media_file import MediaFile
    from archiver.simulator.world import World

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def xml_error(status: int, code: str, message: str) -> Reply:
    """An error as S3 writes it."""
    text = f"<Code>{code}</Code><Message>{message}</Message><RequestId>SIMULATED</RequestId>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{text}</Error>'
    return Reply(status=status, headers={"Content-Type": "application/xml"}, body=body.encode())


class MediaHost:
    """Hands out renditions of a world's recordings."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, request: Request) -> Reply:
        """The reply to one request."""
        if request.method != "GET":  # the method is part of what is signed
            return xml_error(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
            )
        refused = presign.problem(self._world.secret, request, now=self._world.now())
        if refused is not None:
            return xml_error(*refused)
        media = self.media_at(request.path)
        if media is None:
            return xml_error(404, "NoSuchKey", "The specified key does not exist.")
        return _serve(media, request)

    def media_at(self, path: str) -> MediaFile | None:
        """The file that a path names now; None after its recording is deleted."""
        parts = path.split("/")
        if len(parts) != 4 or parts[1] not in list(Source):
            return None
        recording = self._world.find(Source(parts[1]), unquote(parts[2]))
        media = (
            None
            if recording is None or not recording.has_media(self._world.now())
            else recording.media.get(parts[3].partition(".")[0])
        )
        return media if media is not None and parts[3].endswith(f".{media.extension}") else None


def _serve(media: MediaFile, request: Request) -> Reply:
    headers = {"Content-Type": media.content_type, "ETag": media.etag, "Accept-Ranges": "bytes", **encryption.headers(media)}
    disposition = request.parameter("response-content-disposition")
    if disposition:
        headers["Content-Disposition"] = disposition
    size = media.size
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or wanted[0] == "bytes=-" or request.headers.get("if-range", media.etag) != media.etag:
        return Reply(status=200, headers=headers, body=Stretch(media=media, start=0, stop=size))
    if wanted[1]:
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1 if wanted[2] else size, size)
    else:
        start, stop = max(0, size - int(wanted[2])), size
    if start >= stop:
        refused = xml_error(416, "InvalidRange", "The requested range is not satisfiable")
        return Reply(status=416, headers={**refused.headers, "Content-Range": f"bytes */{size}"}, body=refused.body)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Reply(status=206, headers=headers, body=Stretch(media=media, start=start, stop=stop))
