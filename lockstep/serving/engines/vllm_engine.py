"""Serve a model folder with vLLM's own server on a Unix socket; `make serve` starts this process.

vLLM was not run with this module: it needs a GPU.
"""

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import click
import httpx2

from lockstep.processes import die_with_parent
from lockstep.serving.engines.engine_protocol import (
    RANDOM_SEED,
    EngineError,
    Generation,
    Part,
    SocketEngine,
    report_engine_errors,
)

NAME = "engine"
"""Name of the model in requests to vLLM."""


class VllmEngine(SocketEngine):
    """vLLM behind a Unix socket; prompts and answers are token ids."""

    def __init__(
        self, transport: httpx2.AsyncBaseTransport, end_ids: Sequence[int], timeout: float = 120
    ) -> None:
        """Set the way to the socket, and the tokens that end an answer."""
        super().__init__(transport, timeout=timeout)
        self._end_ids = end_ids

    async def generate(self, generation: Generation) -> AsyncGenerator[Part, None]:
        """Yield the parts of the answer; raise EngineError if the engine fails."""
        request = self._build(generation)
        with report_engine_errors():
            if not generation.stream:
                reply = await self._post("/v1/completions", request)
                yield Part(reply["choices"][0]["token_ids"])
                return
            async with self._send("POST", "/v1/completions", request) as response:
                if response.status_code != 200:
                    raise EngineError(f"status {response.status_code}")
                is_complete = False
                async for line in response.aiter_lines():
                    data = line.removeprefix("data: ")
                    is_complete = is_complete or data == "[DONE]"
                    if data and not is_complete:
                        yield Part(_read_tokens(json.loads(data)))
                if not is_complete:
                    raise EngineError("the answer broke off")

    def _build(self, generation: Generation) -> dict[str, Any]:
        """Return the request to vLLM."""
        return {
            "model": NAME,
            "prompt": generation.prompt,
            "max_tokens": generation.max_tokens,
            "temperature": generation.temperature,
            "top_p": generation.top_p,
            "top_k": 0,  # a folder may suggest other sampling
            "repetition_penalty": 1.0,
            "seed": None if generation.seed == RANDOM_SEED else generation.seed,
            "stream": generation.stream,
            "stop_token_ids": [*self._end_ids],
            "return_token_ids": True,
            "skip_special_tokens": False,
        }


def _read_tokens(reply: dict[str, Any]) -> list[int]:
    """Return the tokens of an event; raise EngineError if it is an error."""
    if "error" in reply:
        raise EngineError("the engine reports an error")
    return [token for choice in reply["choices"] for token in choice["token_ids"]]


@click.command(help=__doc__)
@click.argument("folder")
@click.argument("socket")
@click.option("--parent", type=int, required=True, help="process id of the gateway")
@click.option("--context", type=int, required=True, help="tokens of a prompt with its answer")
def main(folder: str, socket: str, parent: int, context: int) -> None:
    die_with_parent(signal.SIGTERM, parent)  # holds for the program that replaces this one
    arguments = ["--uds", socket, "--served-model-name", NAME, "--max-model-len", str(context)]
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", folder, *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - no shell, and no value of a request


if __name__ == "__main__":
    main()
