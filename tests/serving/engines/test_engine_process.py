"""The client of an engine process: what the gateway asks for on the Unix socket."""

import asyncio
import json
import sys
from collections import Counter

import httpx2
import pytest

from lockstep.errors import UserError
from lockstep.serving.engines.engine_process import EngineProcess
from lockstep.serving.engines.engine_protocol import EngineError, Generation, SocketEngine


def test_no_request_fails_since_the_engine_closes_a_connection_that_was_used() -> None:
    """llama.cpp's server does so at times, without the header `Connection: close`."""
    reply = json.dumps({"tokens": [7], "stop_type": "limit"}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    running: Counter[str] = Counter()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in header.lower().split(b"\r\n") if b"content-length" in line)
        body = json.loads(await reader.readexactly(int(length.split(b":")[1])))
        assert body["prompt"] == [1, 2, 3]
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        await asyncio.sleep(0.1)
        running["now"] -= 1
        writer.write(head % len(reply) + reply)
        await reader.read(1)  # the next request, if the connection is used again
        writer.close()

    async def ask_twice() -> None:
        process = EngineProcess("tuned", lambda socket: [sys.executable], SocketEngine)
        server = await asyncio.start_unix_server(answer, process.socket, backlog=200)

        async def ask() -> list[int]:
            parts = process.engine.generate(Generation([1, 2, 3], 1))
            return [token async for part in parts for token in part.tokens]

        async with server:
            for _ in range(2):
                assert await asyncio.gather(*(ask() for _ in range(120))) == [[7]] * 120
            await process.stop()

    asyncio.run(ask_twice())
    assert running["most"] == 120


def test_an_engine_that_cannot_be_started_is_named() -> None:
    too_long = "a" * 200_000  # for one argument on Linux
    process = EngineProcess("tuned", lambda socket: [too_long], SocketEngine)
    with pytest.raises(UserError, match="the engine of tuned does not start"):
        asyncio.run(process.start())


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"tokens": [1]}', b"data: {}", b"data: 1"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_in_another_form_is_an_error_of_the_engine(body: bytes, stream: bool) -> None:
    engine = SocketEngine(httpx2.MockTransport(lambda request: httpx2.Response(200, content=body)))

    async def ask() -> None:
        async for _ in engine.generate(Generation([1], 1, stream=stream)):
            pass

    with pytest.raises(EngineError):
        asyncio.run(ask())
