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

from lockstep.inference.llama_cpp import LlamaCpp
from lockstep.inference.llama_cpp_generation import LlamaCppGenerator
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.serving.log_files import read_log
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
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.encode() + body)
        if stream:
            assert connection.recv(100)
            os.kill(engine, signal.SIGSTOP)
        time.sleep(0.1)
    for _ in range(100):
        metrics = httpx2.get(f"{server.url}/metrics").text
        if count_departures(metrics) > before:
            break
        time.sleep(0.02)
    os.kill(engine, signal.SIGCONT)
    assert count_departures(metrics) == before + 1
    assert 'lockstep_requests_running{variant="base"} 0.0' in metrics


def test_a_body_that_arrives_slowly_is_refused(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
        assert b"408 Request Timeout" in connection.recv(1000)


def test_an_engine_that_dies_breaks_its_streams_cleanly_and_comes_back(
    server: RunningServer, client: openai.OpenAI
) -> None:
    engine = find_engine(server, "base")
    chunks = client.chat.completions.create(  # the random model ends no answer by itself
        model="base", messages=build_messages("a"), stream=True, max_tokens=200
    )
    os.kill(engine, signal.SIGKILL)
    with pytest.raises(openai.APIError, match="broke off"):
        list(chunks)
    with httpx2.Client(base_url=server.url) as http:
        for _ in range(200):
            if http.get("/readyz").status_code == 503:
                break
            time.sleep(0.01)
        body = {"model": "base", "messages": build_messages("a")}
        refused = http.post("/v1/chat/completions", json=body)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        for _ in range(200):
            if http.get("/readyz").status_code == 200:
                break
            time.sleep(0.05)
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        assert 'lockstep_engine_restarts{variant="base"} 1.0' in http.get("/metrics").text


def test_a_signal_lets_running_answers_end_and_refuses_new_ones(served_folder: Path) -> None:
    with run_server(served_folder, {"serving.models": ["base"]}) as server:
        engines = server.find_engines()
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            chunks = client.chat.completions.create(
                model="base", messages=build_messages("a"), stream=True, max_tokens=200
            )
            os.kill(engines[0], signal.SIGSTOP)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(httpx2.ConnectError):
                httpx2.get(f"{server.url}/healthz")
            os.kill(engines[0], signal.SIGCONT)
            assert list(chunks)[-1].choices[0].finish_reason == "length"
        assert server.process.wait(10) == 128 + signal.SIGTERM
        *_, logged = read_log(served_folder / "logs", "requests.jsonl")
        assert (logged["finish_reason"], logged["answer_tokens"]) == ("length", 200)
        assert not any(Path(f"/proc/{engine}").exists() for engine in engines)
