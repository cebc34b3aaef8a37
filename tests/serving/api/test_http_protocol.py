"""Clients that are malformed, slow or many do no harm: tests on sockets, byte by byte."""

import asyncio
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator

import httpx2
import pytest
import uvicorn

from tests.serving.conftest import BuildGateway, Gateway, listen, read_port

BODY = json.dumps({"model": "tuned", "prompt": "Where is it?"}).encode()
CHUNKS = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, BODY[:9], len(BODY) - 9, BODY[9:])
POST = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def gateway(build_gateway: BuildGateway) -> Gateway:
    return build_gateway(receive_seconds=0.5, requests_per_minute=0, header_kib=4)


@pytest.fixture
def server(gateway: Gateway) -> Iterator[uvicorn.Server]:
    with listen(gateway) as server:
        yield server


def connect(server: uvicorn.Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", read_port(server)), timeout=10)


def read_statuses(connection: socket.socket) -> list[int]:
    """Return the statuses of all responses until the server closes the connection."""
    data = b"".join(iter(lambda: connection.recv(65536), b""))
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", data)]


def test_lengths_and_pipelines_are_read_in_one_way_only(server: uvicorn.Server) -> None:
    chunked = POST + b"Transfer-Encoding: chunked\r\n"
    for request, statuses in (
        (WHOLE, [200]),
        (WHOLE * 3, [200, 200, 200]),
        (chunked + b"\r\n" + CHUNKS, [200]),
        (chunked + b"Content-Length: 4\r\n\r\n" + CHUNKS + WHOLE, [400]),
        (chunked + b"Content-Length: %d\r\n\r\n" % len(CHUNKS) + CHUNKS, [400]),
        (chunked + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS, [400]),
        (POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS, [400]),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY, [400]),
        (POST + b"Content-Length: +5\r\n\r\n" + BODY, [400]),
        (POST + b"Content-Length: -1\r\n\r\n" + BODY, [400]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", [400]),
    ):
        with connect(server) as connection:
            connection.sendall(request)
            assert read_statuses(connection) == statuses, request


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost@evil.example", "localhost:80@evil.example", "[::1]evil.example",
     "127.0.0.1.evil.example", "localhost,evil.example", "2130706433", ""],
)  # fmt: skip
def test_a_host_that_only_looks_like_this_machine_is_refused(
    server: uvicorn.Server, host: str
) -> None:
    with connect(server) as connection:
        connection.sendall(WHOLE.replace(b"localhost", host.encode()))
        assert read_statuses(connection) == [403]


def test_headers_are_bounded_even_in_one_packet(server: uvicorn.Server) -> None:
    for request in (
        GET + b"X: " + b"x" * 5000 + b"\r\n\r\n",
        GET + b"X: y\r\n" * 1000 + b"\r\n",
        GET.replace(b"metrics", b"m" * 5000) + b"\r\n",
    ):
        with connect(server) as connection:
            connection.sendall(request)
            assert read_statuses(connection) == [431]


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"GET /metrics HTTP/1.1\r\nX: ", b"x"),
        (POST + b"Content-Length: 9000\r\n\r\n", b" "),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (GET + b"Content-Length: 9000\r\n\r\n", b" "),
        (WHOLE + b"GET /", b"x"),
    ],
)
def test_a_client_that_sends_byte_by_byte_is_disconnected(
    server: uvicorn.Server, start: bytes, drop: bytes
) -> None:
    with connect(server) as connection, pytest.raises(OSError):
        connection.sendall(start)
        end = time.monotonic() + 8
        while time.monotonic() < end:
            time.sleep(0.05)
            connection.sendall(drop)


def test_a_client_that_reads_nothing_is_disconnected(server: uvicorn.Server) -> None:
    with connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        end = time.monotonic() + 8
        while not server.server_state.connections:
            time.sleep(0.01)
        while server.server_state.connections:
            assert time.monotonic() < end
            try:
                connection.send(GET + b"\r\n")
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break


def test_all_limits_hold_exactly_under_200_parallel_requests(build_gateway: BuildGateway) -> None:
    gateway = build_gateway(requests_per_minute=100, concurrent=4, queued=16, queue_seconds=30)
    gateway.engine.release.clear()

    async def ask(port: int) -> Counter[str]:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30
        ) as client:
            values = {"model": "tuned", "prompt": "a", "max_tokens": 2}
            tasks = [
                asyncio.create_task(client.post("/v1/completions", json=values)) for _ in range(200)
            ]
            while sum(task.done() for task in tasks) < 180:
                await asyncio.sleep(0.01)
            assert (gateway.engine.running, gateway.model.slots.waiting) == (4, 16)
            loop.call_soon_threadsafe(gateway.engine.release.set)
            replies = await asyncio.gather(*tasks)
        return Counter("" if r.is_success else r.json()["error"]["code"] for r in replies)

    with listen(gateway) as server:
        loop = server.servers[0].get_loop()
        counts = asyncio.run(ask(read_port(server)))
    assert counts == {"": 20, "requests_per_minute": 100, "queue_full": 80}
    assert gateway.engine.most_running == 4
    assert len(gateway.records) == 200
