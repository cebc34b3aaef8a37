"""Every text is asked once, from a server that speaks the API; a rerun asks nothing."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.errors import Refusal
from stages.rephrasing import paraphrase


class Endpoint(http.server.ThreadingHTTPServer):
    """Answers with the text reversed, after the failures it is told to begin with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.failures: list[int] = []
        self.rubbish: Any = None
        """Answered in place of a completion."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions"
        if self.server.failures:
            self.answer(self.server.failures.pop(), {"error": {"message": "not now"}})
            return
        self.server.asked.append(body)
        if self.server.rubbish is not None:
            self.answer(200, self.server.rubbish)
            return
        message = {"role": "assistant", "content": f" {body['messages'][-1]['content'][::-1]}\n"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        facts = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
        self.answer(200, {**facts, "choices": [choice]})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with Endpoint() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(endpoint: Endpoint, *texts: str, prompt: str = "Say it otherwise.") -> list[str]:
    return paraphrase.by_endpoint(texts, endpoint.url, "a-model", prompt, 0.7, 3)


def test_each_text_is_asked_once_and_never_again(endpoint: Endpoint, tmp_path: Path) -> None:
    assert ask(endpoint, "abc", "退款", "abc") == ["cba", "款退", "cba"]
    assert len(endpoint.asked) == 2
    assert ask(endpoint, "退款", "abc") == ["款退", "cba"]
    assert len(endpoint.asked) == 2
    assert ask(endpoint, "abc", prompt="Another prompt.") == ["cba"]
    assert len(endpoint.asked) == 3
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or "secret" not in file.read_text()


def test_the_request_says_what_params_say(endpoint: Endpoint) -> None:
    ask(endpoint, "abc")
    assert endpoint.asked == [
        {
            "model": "a-model",
            "messages": [
                {"role": "system", "content": "Say it otherwise."},
                {"role": "user", "content": "abc"},
            ],
            "temperature": 0.7,
            "seed": 3,
        }
    ]


def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.failures = [503, 429]
    assert ask(endpoint, "abc") == ["cba"]


def test_what_was_answered_before_a_failure_is_kept(endpoint: Endpoint) -> None:
    ask(endpoint, "abc")
    endpoint.failures = [401]
    with pytest.raises(Refusal, match=r"401 .*not now.*; correct url, model or key$"):
        ask(endpoint, "abc", "xyz")
    assert ask(endpoint, "abc", "xyz") == ["cba", "zyx"]
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize("rubbish", [{"choices": []}, {"error": {}}, [1], "<html>"])
def test_an_answer_of_another_kind_is_refused_and_not_kept(
    endpoint: Endpoint, rubbish: Any
) -> None:
    endpoint.rubbish = rubbish
    with pytest.raises(Refusal, match="no chat completion came back; correct url or model"):
        ask(endpoint, "abc")
    endpoint.rubbish = None
    assert ask(endpoint, "abc") == ["cba"]


def test_no_endpoint_is_refused_in_one_line(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paraphrase, "_RETRIES", 0)
    with pytest.raises(Refusal, match="no connection; start the endpoint or correct its url"):
        paraphrase.by_endpoint(["a"], "http://127.0.0.1:9/v1", "m", "p", 0.0, 1)


def test_a_model_of_one_s_own_is_asked_once_and_answers_as_it_generates(
    tiny: Path, loaded: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    texts = ["Where is my order 101?", "退款多久到账？", "ok then"]

    def by_hand(text: str) -> str:
        turns = [{"role": "system", "content": "Say it."}, {"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt")
        stop = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        out = loaded.generate(**ids, do_sample=False, max_new_tokens=24, **stop)
        return tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)

    found = paraphrase.by_model(texts, tiny, "eager", "Say it.", 2, 24)
    assert found == [by_hand(text).strip() for text in texts] and any(found)
    (kept,) = (tmp_path / ".scratch" / "responses").iterdir()
    kept.write_text('["a", "b", "c"]')
    assert paraphrase.by_model(texts, tiny, "eager", "Say it.", 2, 24) == ["a", "b", "c"]
    assert paraphrase.by_model(texts, tiny, "eager", "Say it.", 3, 24) == found
    assert paraphrase.by_model([], tiny, "eager", "Say it.", 2, 24) == []
