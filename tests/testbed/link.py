"""One connection through the fault proxy: two sockets, two pumps, and the rules asked for every piece."""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Coroutine
from typing import NoReturn

from tests.testbed.faults import BlackHole, Cut, Direction, DropReply, End, Latency, Rate, Refuse
from tests.testbed.rules import HEAD, Flow, Matcher, Rule, Rules

PIECE = 64 * 1024
_INTERIM = b"HTTP/1.1 100"
_LINGER = 1.0  # seconds that an orderly end waits for the other side's last bytes

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Queue = asyncio.Queue[tuple[float, bytes]]


class _Ended(Exception):
    """The connection is over; what is still on its way is not delivered."""


class Link:
    """Carries one client's connection until either side or a rule ends it."""

    def __init__(self, flow: Flow, rules: Rules, client: Stream) -> None:
        self._flow = flow
        self._rules = rules
        self._sides: dict[Direction, Stream] = {Direction.TO_CLIENT: client}  # by the way that leads there
        self._matchers: dict[Rule[DropReply], Matcher] = {}
        self._dropping: Rule[DropReply] | None = None
        self._ended: set[Direction] = set()
        self._ending: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    def cut(self, end: End) -> None:
        """End both sides; the first call decides how."""
        if not self._ending.done():
            self._ending.set_result(end)

    async def run(self, host: str, port: int) -> None:
        """Carry bytes until the connection is over, and close what was opened."""
        end = End.RST
        try:
            end = await self._carry(host, port)
        finally:
            await asyncio.gather(*(_close(*side, end) for side in self._sides.values()))

    async def _carry(self, host: str, port: int) -> End:
        for rule in self._rules.meant_for(self._flow, Refuse):
            rule.fire(self._flow)
            return End.RST
        try:
            self._sides[Direction.TO_SERVER] = await asyncio.open_connection(host, port, limit=PIECE)
        except OSError:
            return End.RST
        for _, writer in self._sides.values():
            writer.transport.set_write_buffer_limits(high=0)  # drained means: the kernel has it
        queues = {way: Queue(64) for way in Direction}
        pumps = [pump(queues[way], way) for way in Direction for pump in (self._intake, self._outlet)]
        tasks = [asyncio.create_task(self._guarded(pump)) for pump in pumps]
        try:
            return await self._ending
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, pump: Coroutine[None, None, None]) -> None:
        try:
            await pump
        except OSError:
            self.cut(End.RST)
        except _Ended:
            return
        except Exception as error:  # noqa: BLE001 - a predicate that raised is the test's affair, and ends the connection
            if not self._ending.done():
                self._ending.set_exception(error)

    async def _intake(self, queue: Queue, way: Direction) -> None:
        """Read what goes `way` until its end of file, which is the empty piece."""
        reader = self._sides[_other(way)][0]
        while True:
            piece = await reader.read(PIECE)
            late = self._latency(way)
            await queue.put((asyncio.get_running_loop().time() + late, piece))
            if not piece:
                return
            if not late:
                await queue.join()  # one piece at a time: a slow way out is felt by the sender, not hidden in a buffer

    async def _outlet(self, queue: Queue, way: Direction) -> None:
        while True:
            due, piece = await queue.get()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            if not piece:
                break
            await self._deliver(piece, way)
            queue.task_done()
        await self._held(way)
        self._sides[way][1].write_eof()
        self._ended.add(way)
        if len(self._ended) == len(Direction):
            self.cut(End.FIN)

    async def _deliver(self, piece: bytes, way: Direction) -> None:
        if way is Direction.TO_SERVER and len(self._flow.head) < HEAD:
            self._flow.head = (self._flow.head + piece)[:HEAD]
        while piece:
            await self._held(way)
            self._cut_if_reached(way)
            part = piece[: self._room(way)]
            piece = piece[len(part) :]
            if way is Direction.TO_SERVER:
                self._look_for_requests(part)  # before the server can answer it
                await self._write(part, way)
            elif (rule := self._dropping) and rule in self._rules.meant_for(self._flow, DropReply):
                await self._drop(part, rule)
            else:
                await self._write(part, way)
            if self._flow.passed[way]:
                self._cut_if_reached(way)

    async def _write(self, part: bytes, way: Direction) -> None:
        writer = self._sides[way][1]
        writer.write(part)
        await writer.drain()
        self._flow.passed[way] += len(part)
        for rule in self._rules.meant_for(self._flow, Rate):
            if way in rule.fault.directions:
                await asyncio.sleep(len(part) / rule.fire(self._flow).bytes_per_second)

    async def _drop(self, part: bytes, rule: Rule[DropReply]) -> None:
        interim, answer = _interim(part)
        if interim:
            await self._write(interim, Direction.TO_CLIENT)
        if answer:
            rule.fire(self._flow)
            self._end(End.RST)

    def _look_for_requests(self, part: bytes) -> None:
        for rule in self._rules.meant_for(self._flow, DropReply):
            matcher = self._matchers.setdefault(rule, Matcher(rule.fault.request))
            if matcher.feed(part):
                self._dropping = rule

    def _latency(self, way: Direction) -> float:
        rules = [rule for rule in self._rules.meant_for(self._flow, Latency) if way in rule.fault.directions]
        return sum(rule.fire(self._flow).seconds for rule in rules)

    async def _held(self, way: Direction) -> None:
        """Wait as long as a black hole is open."""
        while reached := [rule for rule in self._rules.meant_for(self._flow, BlackHole) if self._reached(rule, way)]:
            for rule in reached:
                rule.fire(self._flow)
            await self._rules.change()

    def _cut_if_reached(self, way: Direction) -> None:
        for rule in self._rules.meant_for(self._flow, Cut):
            if rule.fault.direction is way and self._reached(rule, way):
                self._end(rule.fire(self._flow).end)

    def _reached(self, rule: Rule[Cut] | Rule[BlackHole], way: Direction) -> bool:
        """Tell whether as much has passed as the fault lets pass; with 0 that is true once the first byte is about to."""
        fault = rule.fault
        if self._flow.number in rule.touched:
            return True
        return self._flow.passed[fault.direction] >= fault.after and (fault.after > 0 or fault.direction is way)

    def _room(self, way: Direction) -> int:
        """How many bytes may pass before a rule has to be looked at again."""
        room = PIECE
        for rule in (*self._rules.meant_for(self._flow, Cut), *self._rules.meant_for(self._flow, BlackHole)):
            if rule.fault.direction is way and rule.fault.after > self._flow.passed[way]:
                room = min(room, rule.fault.after - self._flow.passed[way])
        for limit in self._rules.meant_for(self._flow, Rate):
            if way in limit.fault.directions:
                room = min(room, max(1, int(limit.fault.bytes_per_second / 50)))
        return room

    def _end(self, end: End) -> NoReturn:
        self.cut(end)
        raise _Ended


def _other(way: Direction) -> Direction:
    return Direction.TO_SERVER if way is Direction.TO_CLIENT else Direction.TO_CLIENT


def _interim(part: bytes) -> tuple[bytes, bytes]:
    """Split what the server sends into `100 Continue`, which asks for the rest of the request, and its answer."""
    if not part.startswith(_INTERIM):
        return b"", part
    head, mark, answer = part.partition(b"\r\n\r\n")
    return head + mark, answer


async def _close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: End) -> None:
    try:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER):
                if end is End.RST:
                    await _acknowledged(writer)
                else:
                    writer.write_eof()
                    while await reader.read(PIECE):  # a socket closed over unread bytes would send a reset after all
                        pass
    finally:
        if end is End.RST and not writer.transport.is_closing():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _acknowledged(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side's kernel has every byte: a reset throws away what has not left yet."""
    while not writer.transport.is_closing():
        unsent = fcntl.ioctl(writer.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4)
        if struct.unpack("i", unsent)[0] == 0:
            return
        await asyncio.sleep(0.001)
