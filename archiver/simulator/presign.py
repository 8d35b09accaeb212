"""Presigned media URLs: made by the APIs, checked by the media host, with nothing shared but the world's secret."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from archiver.simulator.messages import Request

_STAMP = "%Y%m%dT%H%M%SZ"


def media_path(source: str, recording_id: str, rendition: str, extension: str) -> str:
    """Where the media host has a rendition."""
    return f"/{source}/{quote(recording_id, safe='')}/{rendition}.{extension}"


def sign(secret: bytes, base_url: str, path: str, *, now: datetime, ttl: int, **extra: str) -> str:
    """A URL that the media host honours for `ttl` seconds; `extra` are more signed query parameters."""
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"SIMULATED/{now.astimezone(UTC):%Y%m%d}/us-east-1/s3/aws4_request",
        "X-Amz-Date": now.astimezone(UTC).strftime(_STAMP),
        "X-Amz-Expires": str(ttl),
        "X-Amz-SignedHeaders": "host",
        **{name.replace("_", "-"): value for name, value in extra.items()},
    }
    query["X-Amz-Signature"] = _signature(secret, path, query)
    return f"{base_url}{path}?{urlencode(query)}"


def _signature(secret: bytes, path: str, query: dict[str, str]) -> str:
    signed = "\n".join([path, *(f"{name}={value}" for name, value in sorted(query.items()))])
    return hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest()


def problem(secret: bytes, request: Request, *, now: datetime) -> tuple[int, str, str] | None:
    """Why the media host refuses a request, as (status, S3's code, message); None if it does not."""
    if "authorization" in request.headers:
        return (
            400,
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header",
        )
    query = dict(request.query)
    signature = query.pop("X-Amz-Signature", None)
    if signature is None or len(query) + 1 != len(request.query):
        return 403, "AccessDenied", "Access Denied"
    if not hmac.compare_digest(signature.encode(), _signature(secret, request.target.partition("?")[0], query).encode()):
        return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
    signed_at = datetime.strptime(query["X-Amz-Date"], _STAMP).replace(tzinfo=UTC)
    if now >= signed_at + timedelta(seconds=int(query["X-Amz-Expires"])):
        return 403, "AccessDenied", "Request has expired"
    return None
