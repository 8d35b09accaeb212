"""A small HTTP/1.1 server for both ends of a benchmark: a thread a connection and blocking sockets, cheap enough not to be the limit."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD = 64 * 1024
_PIECE = 1024 * 1024


@dataclass(slots=True)
class Request:
    """One request; `headers` have lower-case names. The body is still on the connection, `length` bytes of it."""

    method: str
    target: str
    headers: dict[str, str]
    connection: Connection
    length: int = 0

    def body(self) -> memoryview:
        """The whole body, in the connection's own buffer: gone with the next request."""
        return self.connection.take(self.length)


class Connection:
    """One client's socket and what was read from it too early."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._early = b""
        self._buffer = bytearray(_PIECE)
        self.fresh = True  # no request was counted on it yet
        self.text = ""  # of the last request's body, where it was one to be read

    def request(self) -> Request | None:
        """The next request, None when the client is gone."""
        data = self._early
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = self.sock.recv(_HEAD)
            if not more:
                return None
            data += more
        self._early = data[end + 4 :]
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Request(method, target, headers, self, int(headers.get("content-length", 0)))

    def take(self, size: int) -> memoryview:
        """Exactly `size` bytes; raises ConnectionError when they do not come."""
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)
        have = min(size, len(self._early))
        view[:have], self._early = self._early[:have], self._early[have:]
        while have < size:
            got = self.sock.recv_into(view[have:size])
            if not got:
                raise ConnectionResetError("the client went in the middle of a body")
            have += got
        return view[:size]

    def answer(self, status: str, headers: dict[str, str], body: bytes = b"", *, length: int | None = None) -> None:
        """Sends a head and a small body; `length` is announced for a body that follows, or that HEAD leaves out."""
        announced = len(body) if length is None else length
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {announced}\r\n{head}\r\n".encode("latin-1") + body)


class Server:
    """Listens on a free port of 127.0.0.1 and hands every request to `handle`, in the thread of its connection."""

    def __init__(self, handle: Callable[[Request], None], *, tls: tuple[str, str] | None) -> None:
        self._handle = handle
        self._context = _context(*tls) if tls else None
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._sock.getsockname()[1]}"
        self.connections = 0

    def start(self) -> None:
        """Accepts from now on, in threads that end with the process."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._sock.accept()
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(sock)
            if self._context is not None:
                sock = stack.enter_context(self._context.wrap_socket(sock, server_side=True))
            connection = Connection(sock)
            while (request := connection.request()) is not None:
                self._handle(request)


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
