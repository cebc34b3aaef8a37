"""The engine of transformers gives the answers and outputs of predict over its socket's routes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import Request

from lockstep.inference import generation, head_outputs
from lockstep.models import loading
from lockstep.models.heads import Head
from lockstep.records import Message
from lockstep.serving.engines.engine_protocol import Generation, Part, SocketEngine, build_request
from lockstep.serving.engines.transformers_engine import TransformersServer, build_app, load_server
from tests.conftest import STARTER
from tests.serving.conftest import BuildGateway, join_deltas, read_events

QUESTION = "Where is my order 4711?"


def ask(server: TransformersServer, request: Generation) -> list[Part]:
    async def collect() -> list[Part]:
        engine = SocketEngine(httpx2.ASGITransport(build_app(server)))
        assert await engine.check()
        return [part async for part in engine.generate(request)]

    return asyncio.run(collect())


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.conftest import write_params

    folder = tmp_path_factory.mktemp("engine")
    write_params(folder, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return load_server(STARTER, 1)  # its answers depend on each token of a prompt


def test_answers_are_those_of_predict_whole_and_streamed(loaded: TransformersServer) -> None:
    prompt = loaded.tokenizer.encode_prompt([{"role": "user", "content": QUESTION}])
    whole = ask(loaded, Generation(prompt, 12))
    parts = ask(loaded, Generation(prompt, 12, stream=True))
    ids = [token for part in parts for token in part.tokens]
    assert [token for part in whole for token in part.tokens] == ids
    (answer,) = generation.generate_answers(loaded.model, loaded.tokenizer, [prompt], 1, 12)
    assert loaded.tokenizer.parse_answer(ids) == answer
    assert parts[-1].count == len(ids)


@pytest.mark.parametrize("stream", [False, True])
def test_the_gateway_answers_as_predict(
    loaded: TransformersServer, build_gateway: BuildGateway, stream: bool
) -> None:
    messages: list[Message] = [{"role": "user", "content": QUESTION}]
    prompt = loaded.tokenizer.encode_prompt(messages)
    (answer,) = generation.generate_answers(loaded.model, loaded.tokenizer, [prompt], 1, 12)

    async def ask() -> None:
        gateway = build_gateway()
        gateway.model.tokenizer = loaded.tokenizer
        gateway.model.engine = SocketEngine(httpx2.ASGITransport(build_app(loaded)))
        reply = await gateway.ask(QUESTION, stream=stream, max_tokens=12)
        (record,) = gateway.records
        assert record.prompt_tokens == len(prompt)
        assert record.answer == answer.text
        if stream:
            assert join_deltas(read_events(reply.text)) == answer.text
        else:
            assert reply.json()["choices"][0]["message"]["content"] == answer.text

    asyncio.run(ask())


def test_samples_follow_seed_and_top_p(loaded: TransformersServer) -> None:
    prompt = loaded.tokenizer.encode_prompt([{"role": "user", "content": QUESTION}])

    def sample(seed: int, top_p: float = 1.0) -> list[int]:
        request = Generation(prompt, 12, temperature=1.5, top_p=top_p, seed=seed)
        return ask(loaded, request)[0].tokens

    assert sample(1) == sample(1) != sample(2)
    greedy = ask(loaded, Generation(prompt, 12))[0].tokens
    assert sample(1, top_p=1e-6) == greedy


def test_a_head_has_the_outputs_of_predict(tiny_model: Path) -> None:
    head = Head("single_label_classification", ["order", "refund"])
    model = loading.load_model(tiny_model, "float32", "eager", "cpu", head=head)
    tokenizer = loading.load_tokenizer(tiny_model)
    model.config.pad_token_id = tokenizer.pad_token_id
    prompts = [tokenizer.encode_text("Where is my order?"), tokenizer.encode_text("Refund")]
    engine = SocketEngine(httpx2.ASGITransport(build_app(TransformersServer(model, tokenizer))))
    outputs = asyncio.run(engine.classify(prompts))
    expected = head_outputs.compute_outputs(model, prompts, tokenizer.pad_token_id, 2)
    assert outputs == expected


def test_an_answer_whose_client_leaves_is_not_generated_to_its_end(
    loaded: TransformersServer,
) -> None:
    values = build_request(Generation(loaded.tokenizer.encode_text("Where"), 300), False)
    body = {"type": "http.request", "body": json.dumps(values).encode()}
    messages = iter([body, {"type": "http.disconnect"}])
    passes: list[None] = []

    async def receive() -> Any:
        return next(messages)

    hook = loaded.model.register_forward_hook(lambda *_: passes.append(None))
    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    response = asyncio.run(loaded.complete(request))  # it waits for the thread
    hook.remove()
    assert response.status_code == 499
    assert len(passes) < 50
