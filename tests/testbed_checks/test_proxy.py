"""The fault proxy does exactly what its rules say, and nothing without one."""

import asyncio
import contextlib
import os

import pytest

from tests.testbed.faults import BlackHole, Cut, Direction, DropReply, End, Latency, Rate, Refuse
from tests.testbed.proxy import proxy

DATA = os.urandom(300_000)


class Upstream:
    """Reads a line, remembers it, and answers with its own bytes; `b"len N"`, then N bytes, is answered once all are there."""

    def __init__(self):
        self.seen = []
        self.received = 0
        self.answers = asyncio.Queue()
        self.ended = asyncio.Queue()

    async def serve(self, reader, writer):
        try:
            while line := await reader.readline():
                if line.startswith(b"len "):
                    for _ in range(int(line[4:])):
                        await reader.readexactly(1)
                        self.received += 1
                self.seen.append(line.strip())
                writer.write(b"answer to " + line if not line.startswith(b"data") else DATA)
                await writer.drain()
                self.answers.put_nowait(line.strip())
            self.ended.put_nowait("eof")
        except (ConnectionResetError, asyncio.IncompleteReadError) as error:
            self.ended.put_nowait(type(error).__name__)
        finally:
            writer.close()


@pytest.fixture
async def upstream():
    it = Upstream()
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.port = server.sockets[0].getsockname()[1]
    yield it
    server.close()
    await server.wait_closed()


@pytest.fixture
async def p(upstream):
    async with proxy("127.0.0.1", upstream.port) as it:
        yield it


@contextlib.asynccontextmanager
async def connected(p):
    reader, writer = await asyncio.open_connection(p.host, p.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(p, line=b"hello\n"):
    async with connected(p) as (reader, writer):
        writer.write(line)
        return await reader.readline()


async def read_until_the_end(reader):
    """What arrived, and how it ended."""
    got = bytearray()
    try:
        while piece := await reader.read(65536):
            got += piece
    except ConnectionResetError:
        return bytes(got), End.RST
    return bytes(got), End.FIN


async def test_without_a_rule_everything_passes_and_ends_in_order(p, upstream):
    async with connected(p) as (reader, writer):
        writer.write(b"data\n")
        assert await reader.readexactly(len(DATA)) == DATA
        writer.write_eof()
        assert await read_until_the_end(reader) == (b"", End.FIN)
    assert await upstream.ended.get() == "eof"
    assert p.connections == 1
    assert not p.fired


@pytest.mark.parametrize("end", End)
@pytest.mark.parametrize("after", [0, 1, 65_535, 65_536, 65_537, len(DATA) - 1])
async def test_a_cut_lets_exactly_n_bytes_through_to_the_client(p, upstream, after, end):
    rule = p.add(Cut(after=after, end=end))
    async with connected(p) as (reader, writer):
        writer.write(b"data\n")
        assert await read_until_the_end(reader) == (DATA[:after], end)
    assert upstream.seen == [b"data"]
    assert rule.fired == 1


@pytest.mark.parametrize(("end", "error"), [(End.FIN, "IncompleteReadError"), (End.RST, "ConnectionResetError")])
async def test_a_cut_lets_exactly_n_bytes_through_to_the_server(p, upstream, end, error):
    p.add(Cut(after=11 + 50_000, direction=Direction.TO_SERVER, end=end))
    async with connected(p) as (reader, writer):
        writer.write(b"len 100000\n" + DATA[:100_000])
        assert await read_until_the_end(reader) == (b"", end)
    assert await upstream.ended.get() == error
    assert upstream.received == 50_000


async def test_a_rule_for_the_nth_connection_leaves_the_others_alone(p):
    rule = p.add(Cut(after=0), nth=2)
    assert await ask(p) == b"answer to hello\n"
    with pytest.raises(ConnectionResetError):
        await ask(p)
    assert await ask(p) == b"answer to hello\n"
    assert rule.touched == {2}


async def test_a_predicate_sees_what_the_client_sent(p):
    p.add(Cut(after=0), when=lambda flow: b"PUT" in flow.head)
    assert await ask(p, b"GET /\n") == b"answer to GET /\n"
    with pytest.raises(ConnectionResetError):
        await ask(p, b"PUT /\n")


async def test_a_rule_stops_after_as_many_connections_as_it_may_touch(p):
    p.add(Refuse(), times=2)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            await ask(p)
    assert await ask(p) == b"answer to hello\n"
    assert p.fired == {"Refuse": 2}


async def test_a_refused_connection_never_reaches_the_server(p, upstream):
    p.add(Refuse())
    with pytest.raises(ConnectionResetError):
        await ask(p)
    assert upstream.seen == []
    assert upstream.ended.empty()


async def test_a_closed_port_refuses_and_opens_again_under_the_same_number(p):
    async with connected(p) as (reader, writer):
        async with p.closed():
            with pytest.raises(ConnectionRefusedError):
                await ask(p)
            writer.write(b"still here\n")
            assert await reader.readline() == b"answer to still here\n"
        assert await ask(p) == b"answer to hello\n"


async def test_a_dropped_reply_was_answered_by_the_server(p, upstream):
    rule = p.add(DropReply(request=rb"COMMIT"), times=1)
    async with connected(p) as (reader, writer):
        writer.write(b"INSERT\n")
        assert await reader.readline() == b"answer to INSERT\n"
        writer.write(b"COM")
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(b"MIT\n")
        assert await read_until_the_end(reader) == (b"", End.RST)
    assert upstream.seen == [b"INSERT", b"COMMIT"]
    assert rule.fired == 1
    assert await ask(p, b"COMMIT\n") == b"answer to COMMIT\n"


async def test_an_interim_answer_is_not_the_reply():
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(4)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as p:
        rule = p.add(DropReply(request=rb"PUT /k"))
        async with connected(p) as (reader, writer):
            writer.write(b"PUT /k HTTP/1.1\r\nExpect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"body")
            assert await read_until_the_end(reader) == (b"", End.RST)
        assert rule.fired == 1


async def test_a_black_hole_holds_and_lets_pass_again_when_it_is_removed(p, upstream):
    rule = p.add(BlackHole())
    async with connected(p) as (reader, writer):
        writer.write(b"hello\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        assert upstream.seen == []
        assert rule.fired == 1
        p.remove(rule)
        assert await reader.readline() == b"answer to hello\n"
        assert p.fired == {"BlackHole": 1}


async def test_a_black_hole_to_the_client_is_a_timeout_after_success(p, upstream):
    p.add(BlackHole(direction=Direction.TO_CLIENT))
    async with connected(p) as (reader, writer):
        writer.write(b"PUT\n")
        assert await upstream.answers.get() == b"PUT"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)


async def test_a_black_hole_in_the_middle_stalls_after_exactly_n_bytes(p):
    p.add(BlackHole(after=100_000, direction=Direction.TO_CLIENT))
    async with connected(p) as (reader, writer):
        writer.write(b"data\n")
        assert await reader.readexactly(100_000) == DATA[:100_000]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)


async def test_latency_delays_both_ways_and_costs_no_throughput(p):
    p.add(Latency(seconds=0.05))
    loop = asyncio.get_running_loop()
    async with connected(p) as (reader, writer):
        start = loop.time()
        writer.write(b"data\n")
        assert await reader.readexactly(len(DATA)) == DATA
        assert 0.1 <= loop.time() - start < 0.3  # several pieces of 64 KiB: one after the other they would take longer


async def test_a_rate_limits_what_passes_in_a_second(p):
    p.add(Rate(bytes_per_second=1_000_000, directions={Direction.TO_CLIENT}))
    loop = asyncio.get_running_loop()
    async with connected(p) as (reader, writer):
        start = loop.time()
        writer.write(b"data\n")
        await reader.readexactly(len(DATA))
        assert 0.25 <= loop.time() - start < 0.8


async def test_a_slow_server_is_felt_by_the_sender(p):
    p.add(Rate(bytes_per_second=1_000))
    async with connected(p) as (_, writer):
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"len 16000000\n" + bytes(16_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await writer.drain()
        writer.transport.abort()  # close() would wait for 16 MB to pass


async def test_open_connections_are_cut_at_once(p, upstream):
    async with connected(p) as (reader, writer):
        writer.write(b"hello\n")
        await reader.readline()
        assert p.open == 1
        assert p.cut_all() == 1
        assert await read_until_the_end(reader) == (b"", End.RST)
    assert await upstream.ended.get() == "ConnectionResetError"


async def test_a_server_that_is_gone_resets_the_client(unused_tcp_port):
    async with proxy("127.0.0.1", unused_tcp_port) as p:
        with pytest.raises(ConnectionResetError):
            await ask(p)


async def test_a_predicate_that_raises_fails_the_test_and_not_only_the_connection(upstream):
    def broken(_flow):
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        async with proxy("127.0.0.1", upstream.port) as p:
            p.add(Cut(after=0), when=broken)
            async with connected(p) as (reader, writer):
                writer.write(b"hello\n")
                await read_until_the_end(reader)
    assert caught.group_contains(ZeroDivisionError)


async def test_the_end_of_the_proxy_ends_its_connections(upstream):
    async with proxy("127.0.0.1", upstream.port) as p:
        p.add(BlackHole(direction=Direction.TO_CLIENT))
        reader, writer = await asyncio.open_connection(p.host, p.port)
        writer.write(b"hello\n")
        assert await upstream.answers.get() == b"hello"
    assert await read_until_the_end(reader) == (b"", End.RST)
    writer.close()


async def test_a_url_keeps_all_but_its_host_and_port(p):
    assert p.url_for("postgresql://u:pw@h:5432/d?x=1") == f"postgresql://u:pw@127.0.0.1:{p.port}/d?x=1"
    assert p.url_for("http://h:9/") == f"http://127.0.0.1:{p.port}/"
