"""The answers over HTTP are those of predict; the server survives its engines and ends cleanly."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from lockstep.inference.llama_cpp import LlamaCpp
from lockstep.inference.llama_cpp_generation import LlamaCppGenerator
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.serving.logs.log_files import read_log
from tests.serving.conftest import RunningServer, join_deltas, read_events, run_server

QUESTIONS = [
    "Where is my order 4711?",
    "请取消订单 88。",
    "How do I return a lamp that arrived broken?",
    "龘龘 🙂 naïve?",
    "发票怎么开？",
]


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def build_messages(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def stream_text(client: openai.OpenAI, model: str, text: str) -> str:
    chunks = client.chat.completions.create(model=model, messages=build_messages(text), stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_answers_and_prompt_tokens_are_those_of_predict(
    client: openai.OpenAI, starter_gguf: Path, starter_tokenizer: ChatTokenizer
) -> None:
    prompts = [starter_tokenizer.encode_prompt(build_messages(text)) for text in QUESTIONS]
    with LlamaCpp(starter_gguf / GGUF_FILE) as runtime:
        expected = LlamaCppGenerator(runtime, starter_tokenizer).generate(prompts, 40)
    assert len({answer.text for answer in expected}) == len(QUESTIONS)
    for text, prompt, answer in zip(QUESTIONS, prompts, expected, strict=True):
        reply = client.chat.completions.create(model="tuned", messages=build_messages(text))
        assert reply.choices[0].message.content == answer.text
        assert reply.choices[0].finish_reason == ("length" if answer.truncated else "stop")
        assert reply.usage is not None
        assert reply.usage.prompt_tokens == len(prompt)
        assert stream_text(client, "tuned", text) == answer.text


def test_the_models_are_listed_and_answer_differently(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tuned", "base"]
    texts = {
        client.chat.completions.create(model=name, messages=build_messages(QUESTIONS[0]))
        .choices[0]
        .message.content
        for name in ("tuned", "base")
    }
    assert len(texts) == 2


def test_a_completion_continues_the_text(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="tuned", prompt="Please send", max_tokens=8)
    parts = client.completions.create(
        model="tuned", prompt="Please send", max_tokens=8, stream=True
    )
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text
    assert whole.usage is not None
    assert whole.usage.completion_tokens <= 8


def test_samples_follow_the_seed_also_in_a_stream(client: openai.OpenAI) -> None:
    def sample(seed: int) -> str:
        reply = client.chat.completions.create(
            model="tuned", messages=build_messages("你好"), temperature=1.2, seed=seed
        )
        return reply.choices[0].message.content or ""

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1


def test_parallel_streams_are_not_mixed(client: openai.OpenAI) -> None:
    alone = [stream_text(client, "tuned", text) for text in QUESTIONS[:3]]
    with ThreadPoolExecutor(12) as pool:
        texts = list(pool.map(lambda text: stream_text(client, "tuned", text), QUESTIONS[:3] * 4))
    assert texts == alone * 4


def test_curl_reads_a_stream(server: RunningServer, client: openai.OpenAI) -> None:
    body = {"model": "tuned", "messages": build_messages(QUESTIONS[0]), "stream": True}
    output = subprocess.run(
        ["curl", "--silent", "--no-buffer", f"{server.url}/v1/chat/completions",
         "--header", "Content-Type: application/json", "--data", json.dumps(body)],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    assert read_events(output)[-1] == "[DONE]"
    assert join_deltas(read_events(output)) == stream_text(client, "tuned", QUESTIONS[0])


def test_no_text_of_a_prompt_is_in_log_metrics_or_errors(server: RunningServer) -> None:
    secret = "zanzibar"  # noqa: S105 - a word that no message of ours has
    with httpx2.Client(base_url=server.url) as client:
        for message in (
            {"role": "user", "content": secret},
            {"role": "user", "content": f"{secret} <|im_end|>"},
            {"role": secret, "content": "a"},
            {"role": "user", "content": {"text": secret}},
        ):
            body = {"model": "tuned", "messages": [message]}
            reply = client.post("/v1/chat/completions", json=body)
            assert reply.status_code == 200 or secret not in reply.text
        body = {"model": secret, "messages": [], secret: 1}
        assert client.post("/v1/chat/completions", json=body).status_code == 400
        assert secret not in client.get("/metrics").text
    assert secret not in server.log.read_text()
    assert '"status":400' in server.log.read_text()


def test_a_client_that_sends_no_whole_header_is_disconnected(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert connection.recv(100) == b""
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 20_000)
        assert b"400 Bad Request" in connection.recv(1000)


def test_no_response_waits_for_an_acknowledgement(server: RunningServer) -> None:
    """Linux acknowledges after 40 ms, for which small packets wait without TCP_NODELAY."""
    body = {"model": "tuned", "messages": build_messages("a"), "max_tokens": 1}
    seconds = []
    with httpx2.Client(base_url=server.url) as client:
        for _ in range(12):
            start = time.perf_counter()
            assert client.post("/v1/chat/completions", json=body).is_success
            seconds.append(time.perf_counter() - start)
    assert min(seconds[2:]) < 0.035


def find_engine(server: RunningServer, name: str) -> int:
    """Return the id of the process with the engine of a model."""
    engines = server.find_engines()
    (engine,) = [e for e in engines if f"/{name}/" in Path(f"/proc/{e}/cmdline").read_text()]
    return engine


def count_departures(metrics: str) -> float:
    """Return the number of requests whose client left."""
    found = re.findall(
        r'^lockstep_requests_total\{.*status="499".*\} (\S+)$', metrics, re.MULTILINE
    )
    return sum(map(float, found))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_answer(server: RunningServer, stream: bool) -> None:
    before = count_departures(httpx2.get(f"{server.url}/metrics").text)
    host, port = server.url.removeprefix("http://").split(":")
    values = {"model": "base", "messages": build_messages("a"), "max_tokens": 200}
    values["stream"] = stream
    body = json.dumps(values).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n"
    engine = find_engine(server, "base")
    if not stream:
        os.kill(engine, signal.SIGSTOP)  # the answer may not end before the client leaves
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(head.encode() + body)
            if stream:
                assert connection.recv(100)
                os.kill(engine, signal.SIGSTOP)
            time.sleep(0.1)
            metrics = httpx2.get(f"{server.url}/metrics").text
        if 'lockstep_requests_running{model="base"} 1.0' in metrics:
            break
        os.kill(engine, signal.SIGCONT)  # the engine had written all of the answer
    for _ in range(100):
        metrics = httpx2.get(f"{server.url}/metrics").text
        if count_departures(metrics) > before:
            break
        time.sleep(0.02)
    os.kill(engine, signal.SIGCONT)
    assert count_departures(metrics) == before + 1
    assert 'lockstep_requests_running{model="base"} 0.0' in metrics


def test_a_body_that_arrives_slowly_is_refused(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
        assert b"408 Request Timeout" in connection.recv(1000)


def start_endless_answer(
    server: RunningServer, client: openai.OpenAI, engine: int
) -> openai.Stream[ChatCompletionChunk]:
    """Return a stream whose engine is stopped in the middle of the answer.

    The random model ends no answer by itself, but may have written all of it before it is stopped.
    """
    for _ in range(20):
        chunks = client.chat.completions.create(
            model="base", messages=build_messages("a"), stream=True, max_tokens=230
        )
        os.kill(engine, signal.SIGSTOP)
        time.sleep(0.2)
        metrics = httpx2.get(f"{server.url}/metrics").text
        if 'lockstep_requests_running{model="base"} 1.0' in metrics:
            return chunks
        os.kill(engine, signal.SIGCONT)
        chunks.close()
    raise AssertionError("the engine is too fast")


def wait_for_status(url: str, status: int) -> None:
    """Wait until /readyz has a status."""
    for _ in range(300):
        if httpx2.get(f"{url}/readyz").status_code == status:
            return
        time.sleep(0.05)
    raise AssertionError(status)


def test_an_engine_that_dies_breaks_its_streams_cleanly_and_comes_back(
    server: RunningServer, served_folder: Path, client: openai.OpenAI
) -> None:
    engine = find_engine(server, "base")
    weights = served_folder / "build/serving/base" / GGUF_FILE
    chunks = start_endless_answer(server, client, engine)
    hidden = weights.rename(weights.with_suffix(".hidden"))  # so it stays down for a while
    os.kill(engine, signal.SIGKILL)
    with pytest.raises(openai.APIError, match="broke off"):
        list(chunks)
    wait_for_status(server.url, 503)
    body = {"model": "base", "messages": build_messages("a")}
    refused = httpx2.post(f"{server.url}/v1/chat/completions", json=body)
    assert (refused.status_code, bool(refused.headers["retry-after"])) == (503, True)
    assert stream_text(client, "tuned", QUESTIONS[0])
    hidden.rename(weights)
    wait_for_status(server.url, 200)
    assert httpx2.post(f"{server.url}/v1/chat/completions", json=body).status_code == 200
    metrics = httpx2.get(f"{server.url}/metrics").text
    restarts = re.findall(r'lockstep_engine_restarts_total{model="base"} (\S+)', metrics)
    assert float(restarts[0]) >= 1


@pytest.fixture
def base_server(served_folder: Path) -> Iterator[RunningServer]:
    with run_server(served_folder, {"serving.models": ["base"]}) as server:
        yield server


def test_signals_let_running_answers_end_and_refuse_new_ones(
    base_server: RunningServer, served_folder: Path
) -> None:
    (engine,) = base_server.find_engines()
    url = base_server.url
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        chunks = start_endless_answer(base_server, client, engine)
        for _ in range(2):  # a second signal changes nothing
            base_server.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx2.ConnectError):
                for _ in range(100):
                    httpx2.get(f"{url}/healthz", timeout=5)
                    time.sleep(0.05)
        os.kill(engine, signal.SIGCONT)
        assert list(chunks)[-1].choices[0].finish_reason == "length"
    assert base_server.process.wait(10) == 128 + signal.SIGTERM
    *_, logged = read_log(served_folder / "logs", "requests.jsonl")
    assert logged["finish_reason"] == "length"
    assert not Path(f"/proc/{engine}").exists()


def test_no_engine_outlives_a_gateway_that_is_killed(base_server: RunningServer) -> None:
    (engine,) = base_server.find_engines()
    base_server.process.kill()
    base_server.process.wait(10)
    for _ in range(100):
        if not (command := Path(f"/proc/{engine}/cmdline")).exists() or not command.read_bytes():
            break  # it is gone, or a zombie whose parent has not noticed
        time.sleep(0.05)
    else:
        pytest.fail("the engine still runs")
