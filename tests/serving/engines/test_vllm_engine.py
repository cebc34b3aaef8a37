"""Requests to vLLM have the keys that its documentation names, and its replies are read."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lockstep.serving.engines.engine_protocol import EngineError, Generation, Part
from lockstep.serving.engines.vllm_engine import VllmEngine

SEEN: list[dict[str, Any]] = []


async def complete(request: Request) -> Response:
    """Reply as vLLM's /v1/completions does with `return_token_ids`."""
    body = await request.json()
    SEEN.append(body)
    if body["prompt"] == [0]:
        return JSONResponse({"error": {"message": "no"}}, 400)
    if not body["stream"]:
        return JSONResponse({"choices": [{"text": "ab", "token_ids": [5, 6, 2]}]})
    events = [{"choices": [{"text": "a", "token_ids": [5]}]}, {"choices": []}]
    if body["prompt"] == [1]:
        events.append({"error": {"message": "no"}})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return Response("".join(lines) + "data: [DONE]\n\n" * (body["prompt"] != [3]))


def ask(generation: Generation) -> list[Part]:
    async def collect() -> list[Part]:
        app = Starlette(routes=[Route("/v1/completions", complete, methods=["POST"])])
        engine = VllmEngine(httpx2.ASGITransport(app), [2])
        return [part async for part in engine.generate(generation)]

    return asyncio.run(collect())


def test_answers_are_token_ids_whole_and_streamed() -> None:
    assert ask(Generation([7, 8], 9)) == [Part([5, 6, 2])]
    assert ask(Generation([7, 8], 9, stream=True))[0] == Part([5])
    expected = {"prompt": [7, 8], "max_tokens": 9, "temperature": 0.0, "stop_token_ids": [2]}
    assert expected.items() <= SEEN[-1].items()
    assert SEEN[-1]["seed"] is None
    ask(Generation([7], 9, seed=4))
    assert SEEN[-1]["seed"] == 4


@pytest.mark.parametrize(("prompt", "stream"), [(0, False), (0, True), (1, True), (3, True)])
def test_errors_and_broken_streams_are_noticed(prompt: int, stream: bool) -> None:
    with pytest.raises(EngineError):
        ask(Generation([prompt], 9, stream=stream))
