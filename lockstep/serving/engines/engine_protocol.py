"""The requests that a gateway sends to an engine, and the parts of its answer."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

RANDOM_SEED = 2**32 - 1
"""Seed that stands for a random one; llama.cpp takes seeds of 32 bits."""


class EngineError(Exception):
    """The engine does not answer, or ends in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A prompt and the way in which its answer is generated."""

    prompt: list[int]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = RANDOM_SEED
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens that an engine has generated."""

    tokens: list[int]
    text: str = ""
    """Text of the tokens, and of earlier ones that were withheld for an incomplete character."""
    count: int | None = None
    """Number of all tokens up to here; None if no token is withheld."""
    is_end: bool = False
    """Whether the engine took the last token for one that ends the answer."""


class Engine(Protocol):
    """A program that generates."""

    async def check(self) -> bool:
        """Whether the engine is ready to answer."""

    def generate(self, generation: Generation) -> AsyncGenerator[Part, None]:
        """Yield the parts of the answer; raise EngineError if the engine fails."""

    async def classify(self, prompts: list[list[int]]) -> list[list[float]]:
        """Return the outputs of a model with a head for each prompt."""


class SocketEngine:
    """An engine behind a Unix socket with the routes of llama.cpp's server."""

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport,
        cache_prompt: bool = False,
        timeout: float = 120,
    ) -> None:
        """Set the way to the socket; `timeout` is the longest silence of the engine in seconds."""
        self._transport, self._timeout = transport, timeout
        self._cache_prompt = cache_prompt

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def check(self) -> bool:
        """Whether the engine is ready to answer."""
        try:
            async with self._send("GET", "/health", timeout=2) as response:
                return response.status_code == 200
        except httpx2.HTTPError:
            return False

    async def generate(self, generation: Generation) -> AsyncGenerator[Part, None]:
        """Yield the parts of the answer; raise EngineError if the engine fails."""
        request = build_request(generation, self._cache_prompt)
        with report_engine_errors():
            if not generation.stream:
                reply = await self._post("/completion", request)
                yield Part(reply["tokens"], is_end=reply["stop_type"] == "eos")
                return
            async with self._send("POST", "/completion", request) as response:
                if response.status_code != 200:
                    raise EngineError(f"status {response.status_code}")
                is_complete = False
                async for line in response.aiter_lines():
                    if line:
                        part, is_complete = _parse_part(line)
                        yield part
                if not is_complete:
                    raise EngineError("the answer broke off")

    async def classify(self, prompts: list[list[int]]) -> list[list[float]]:
        """Return the outputs of a model with a head for each prompt."""
        with report_engine_errors():
            return (await self._post("/classify", {"prompts": prompts}))["outputs"]

    async def _post(self, route: str, request: dict[str, Any]) -> Any:
        async with self._send("POST", route, request) as response:
            if response.status_code != 200:
                raise EngineError(f"status {response.status_code}")
            return json.loads(await response.aread())

    @asynccontextmanager
    async def _send(
        self, method: str, route: str, request: Any = None, timeout: float | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request, and close its response in the end.

        A client of httpx would take 0.2 ms more, for redirects, cookies and the like.
        """
        limits = httpx2.Timeout(timeout or self._timeout).as_dict()
        message = httpx2.Request(
            method, f"http://engine{route}", json=request, extensions={"timeout": limits}
        )
        response = await self._transport.handle_async_request(message)
        try:
            yield response
        finally:
            await response.aclose()


@contextmanager
def report_engine_errors() -> Iterator[None]:
    """Raise EngineError if an engine does not answer, or in another form than its API has."""
    try:
        yield
    except httpx2.HTTPError as error:
        raise EngineError(type(error).__name__) from None
    except (LookupError, TypeError, ValueError):
        raise EngineError("its answer has another form") from None


def build_request(generation: Generation, cache_prompt: bool) -> dict[str, Any]:
    """Return the request to llama.cpp; temperature 0 chooses as `llama_cpp.GREEDY` does."""
    request: dict[str, Any] = {
        "prompt": generation.prompt,
        "n_predict": generation.max_tokens,
        "temperature": generation.temperature,
        "samplers": ["temperature"],
        "mirostat": 0,
        "seed": generation.seed,
        "stream": generation.stream,
        "return_tokens": True,
        "cache_prompt": cache_prompt,
    }
    if generation.temperature and generation.top_p < 1:
        request |= {"samplers": ["top_p", "temperature"], "top_p": generation.top_p}
    return request


def _parse_part(line: str) -> tuple[Part, bool]:
    """Return the part of an answer in an event, and whether it is the last."""
    if not line.startswith("data: "):
        raise EngineError("the engine reports an error")
    reply = json.loads(line.removeprefix("data: "))
    if "error" in reply:
        raise EngineError("the engine reports an error")
    part = Part(
        reply["tokens"],
        reply.get("content", ""),
        reply["tokens_predicted"],
        reply.get("stop_type") == "eos",
    )
    return part, reply["stop"]
