"""Every request is answered once and kept; what an endpoint does wrong is one line."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.llm_client import chat_completions, response_cache
from tests.llm_server import Endpoint, serving


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with serving(lambda request: f"{request['messages'][-1]['content']}!") as server:
        yield server


def ask(endpoint: Endpoint, *texts: str, timeout: float = 20.0, **options: Any) -> list[str]:
    requests = [
        {"model": "a-model", "messages": [{"role": "user", "content": text}], **options}
        for text in texts
    ]
    return chat_completions.texts(requests, endpoint.url, timeout)


def test_equal_requests_are_asked_once_and_kept_ones_never_again(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    assert ask(endpoint, "a", "退款", "a") == ["a!", "退款!", "a!"]
    assert ask(endpoint, "退款") == ["退款!"]
    assert len(endpoint.asked) == 2
    assert endpoint.keys == {"Bearer secret"}
    for file in (file for file in tmp_path.rglob("*") if file.is_file()):
        assert "secret" not in file.read_text()


def test_further_fields_reach_the_endpoint_under_their_names(endpoint: Endpoint) -> None:
    ask(endpoint, "a", temperature=0.5, response_format={"type": "json_object"}, top_k=1)
    assert endpoint.asked == [
        {
            "model": "a-model",
            "messages": [{"role": "user", "content": "a"}],
            "temperature": 0.5,
            "response_format": {"type": "json_object"},
            "top_k": 1,
        }
    ]


def test_a_busy_endpoint_is_asked_again_when_it_says(endpoint: Endpoint) -> None:
    endpoint.retry_after = {"Retry-After": "1"}
    endpoint.failures = [429, 503]
    before = time.monotonic()
    assert ask(endpoint, "a") == ["a!"]
    assert time.monotonic() - before >= 2


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(429, "run again: what was answered is kept"), (404, "correct url, model or key")],
)
def test_a_status_that_stays_is_one_line_and_what_was_answered_is_kept(
    endpoint: Endpoint, status: int, remedy: str
) -> None:
    ask(endpoint, "a")
    endpoint.failures = [status] * 100
    with pytest.raises(UserError, match=rf"^{endpoint.url}: .*{status}.*not now.*; {remedy}$"):
        ask(endpoint, "a", "b")
    endpoint.failures = []
    assert ask(endpoint, "a", "b") == ["a!", "b!"]
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    "rubbish",
    [
        {"choices": []}, {"error": {}}, [1], "<html>", {"choices": [{"message": {"content": [1]}}]},
        b"<html>", b"\xff",
    ],
)  # fmt: skip
def test_an_answer_of_another_kind_is_refused_and_not_kept(
    endpoint: Endpoint, rubbish: Any
) -> None:
    endpoint.rubbish = rubbish
    no_answer = "no chat completion came back; correct url or model|no answer of that API: "
    with pytest.raises(UserError, match=no_answer) as refusal:
        ask(endpoint, "a")
    assert "\n" not in refusal.value.message
    endpoint.rubbish = None
    assert ask(endpoint, "a") == ["a!"]


def test_an_answer_with_half_a_character_can_be_written(endpoint: Endpoint) -> None:
    """JSON can spell a single surrogate, and UTF-8 cannot."""
    endpoint.reply = lambda request: "\ud83d🙂好"
    assert ask(endpoint, "a") == ["\ufffd🙂好"]


def test_a_silent_endpoint_is_one_line(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_completions, "_RETRIES", 1)
    endpoint.answers_left = 0
    with pytest.raises(UserError, match=r"silent for 0\.2 s; allow more time, or run again"):
        ask(endpoint, "a", timeout=0.2)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://[", "http://a b/v1"])
def test_no_endpoint_is_one_line(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(chat_completions, "_RETRIES", 0)
    with pytest.raises(UserError, match="no connection; start the endpoint or correct its url"):
        chat_completions.texts([{"model": "m", "messages": []}], url, 1)


def test_a_damaged_kept_answer_is_one_line(endpoint: Endpoint, tmp_path: Path) -> None:
    ask(endpoint, "a")
    (kept,) = (tmp_path / ".scratch" / "responses").iterdir()
    kept.write_text("")
    with pytest.raises(UserError, match="no kept answer; remove the file, then run again"):
        ask(endpoint, "a")


def test_a_key_stays_what_it_was() -> None:
    """A sha256 of the question as JSON, by coreutils: printf '["u", {"a": 1}]' | sha256sum."""
    expected = "2d917d65b1c39a0c4717679e4fefca4af8a640897b09385b13312fef5733fe25"
    assert response_cache.key("u", {"a": 1}) == expected
