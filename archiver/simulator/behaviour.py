"""What of the providers' conduct is a matter of choice; a test may change it while the servers run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ErrorShape = Literal["errors", "bare", "message"]


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """Settings of a running simulation, in seconds, bytes and requests."""

    telnyx_error_shape: ErrorShape = "errors"  # of the video endpoints (providers.md 2.7); call recordings always answer `errors`
    telnyx_limit: int = 0  # requests in a window; 0: headers, but no limit
    telnyx_window: float = 1.0
    twilio_concurrency: int = 0  # requests at once; 0: no limit
    omit_nulls: bool = False  # leave out what is null at Telnyx: no property there is declared nullable or required
    latency: float = 0.0  # before every answer
    media_rate: int = 0  # bytes a second on one connection to the media host; 0: as fast as it goes
    rooms_url_ttl: int = 3600
    calls_url_ttl: int = 600
    media_url: str = ""  # where download URLs point to instead of the media host itself, such as a fault proxy before it
