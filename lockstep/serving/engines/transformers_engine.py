"""Serve a model folder with transformers on a Unix socket; a process that `make serve` starts.

The server of transformers itself takes texts alone; this one takes token ids, as the gateway sends
them, and has the outputs of models with a head. It answers one request at a time.
"""

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import click
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lockstep.inference import head_outputs
from lockstep.models import heads, loading, placement
from lockstep.models.chat import ChatTokenizer
from lockstep.processes import die_with_parent
from lockstep.serving.api.api_errors import ApiError
from lockstep.serving.api.exchange import run_for_client


class AbandonedError(Exception):
    """The client of an answer has left."""


class Streamer:
    """A streamer of transformers that passes each new token on, and ends an abandoned answer."""

    def __init__(self, emit: Callable[[int], None]) -> None:
        """Call `emit` with each new token."""
        self.emit, self.is_prompt = emit, True
        self.is_abandoned = False

    def put(self, value: Any) -> None:
        """Take the prompt first, then each token."""
        if self.is_abandoned:
            raise AbandonedError
        if not self.is_prompt:
            for token in value.flatten().tolist():
                self.emit(token)
        self.is_prompt = False

    def end(self) -> None:
        """Take the end of the answer."""


class TransformersServer:
    """The routes of llama.cpp's server that the gateway uses, for a loaded model."""

    def __init__(self, model: Any, tokenizer: ChatTokenizer) -> None:
        """Serve a model."""
        self.model, self.tokenizer = model, tokenizer
        self.lock = threading.Lock()

    async def check(self, request: Request) -> Response:
        """Answer /health."""
        return JSONResponse({"status": "ok"})

    async def classify(self, request: Request) -> Response:
        """Answer /classify with the outputs for each prompt."""
        prompts = (await request.json())["prompts"]
        return JSONResponse({"outputs": await asyncio.to_thread(self._compute, prompts)})

    def _compute(self, prompts: list[list[int]]) -> list[list[float]]:
        with self.lock:
            fill = self.tokenizer.pad_token_id
            return head_outputs.compute_outputs(self.model, prompts, fill, len(prompts))

    async def complete(self, request: Request) -> Response:
        """Answer /completion, as a whole or in parts."""
        values = await request.json()
        if values["stream"]:
            return StreamingResponse(self._stream(values))
        streamer = Streamer(lambda token: None)
        try:
            generation = asyncio.to_thread(self._generate, values, streamer)
            tokens = await run_for_client(request, generation)
        except ApiError as error:
            return error.build_response()
        finally:
            streamer.is_abandoned = True
        return JSONResponse({"tokens": tokens, "stop_type": "limit"})

    async def _stream(self, values: dict[str, Any]) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[int | None] = asyncio.Queue()

        def emit(token: int) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, token)

        streamer = Streamer(emit)
        task = asyncio.create_task(asyncio.to_thread(self._generate, values, streamer))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        count = 0
        try:
            while (token := await queue.get()) is not None:
                count += 1
                yield _write_event([token], count, stop=False)
            await task
            yield _write_event([], count, stop=True)
        finally:
            streamer.is_abandoned = True

    def _generate(self, values: dict[str, Any], streamer: Streamer) -> list[int]:
        import torch
        from transformers import GenerationConfig

        temperature = values["temperature"]
        sampling = {"temperature": temperature, "top_p": values.get("top_p", 1.0), "top_k": 0}
        with self.lock:
            self.model.generation_config = GenerationConfig(
                eos_token_id=list(self.tokenizer.end_ids),
                pad_token_id=self.tokenizer.pad_token_id,
                do_sample=temperature > 0,
                **(sampling if temperature else {}),
            )
            if values["seed"] != 2**32 - 1:
                torch.manual_seed(values["seed"])
            ids = torch.tensor([values["prompt"]], device=self.model.device)
            try:
                with torch.inference_mode():
                    sequences = self.model.generate(
                        input_ids=ids,
                        attention_mask=torch.ones_like(ids),
                        max_new_tokens=values["n_predict"],
                        streamer=streamer,
                    )
            except AbandonedError:
                return []
        return sequences[0, ids.shape[1] :].tolist()


def _write_event(tokens: list[int], count: int, stop: bool) -> str:
    event = {"tokens": tokens, "content": "", "tokens_predicted": count, "stop": stop}
    return f"data: {json.dumps(event)}\n\n"


def load_server(folder: Path, threads: int) -> TransformersServer:
    """Load the model of a folder, with its head if it has one."""
    import torch

    torch.set_num_threads(threads)
    head = heads.read_head(folder)
    tokenizer = loading.load_tokenizer(folder)
    devices = placement.choose_devices(folder)
    model = loading.load_model(folder, "auto", "sdpa", devices, head=head)
    model.config.pad_token_id = tokenizer.pad_token_id
    return TransformersServer(model, tokenizer)


def build_app(server: TransformersServer) -> Starlette:
    """Return the application with the routes of a server."""
    return Starlette(
        routes=[
            Route("/health", server.check),
            Route("/classify", server.classify, methods=["POST"]),
            Route("/completion", server.complete, methods=["POST"]),
        ]
    )


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("socket")
@click.option("--parent", type=int, required=True, help="process id of the gateway")
@click.option("--threads", type=int, required=True)
def main(folder: Path, socket: str, parent: int, threads: int) -> None:
    die_with_parent(signal.SIGKILL, parent)
    app = build_app(load_server(folder, threads))
    uvicorn.run(app, uds=socket, log_level="error", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
