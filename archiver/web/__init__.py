"""The HTTP face of the daemon: health, metrics, a read-only API, and pages for people.

    async with serve(view, host="127.0.0.1", port=8080) as server:
        print(server.url)

Nothing here changes anything: every route answers GET and HEAD only.
"""

from archiver.web.server import WebServer, serve
from archiver.web.view import View

__all__ = ["View", "WebServer", "serve"]
