"""The HTTP face of the daemon: health, metrics, a read-only API, pages for people, and hints from providers.

    async with serve(view, host="127.0.0.1", port=8080) as server:
        print(server.url)

Nothing here changes anything: every route answers GET and HEAD only, but webhooks, which leave a note and no more.
"""

from archiver.web.server import WebServer, serve
from archiver.web.view import Hooks, View

__all__ = ["Hooks", "View", "WebServer", "serve"]
