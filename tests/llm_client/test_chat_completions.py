"""Every request is sent once and its reply cached; a failure of the endpoint is one line."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.llm_client import chat_completions, response_cache
from tests.llm_server import Endpoint, run_endpoint


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with run_endpoint(lambda request: f"{request['messages'][-1]['content']}!") as server:
        yield server


def request_replies(
    endpoint: Endpoint, *texts: str, timeout: float = 20.0, **options: Any
) -> list[str]:
    requests = [
        {"model": "a-model", "messages": [{"role": "user", "content": text}], **options}
        for text in texts
    ]
    return chat_completions.request_replies(requests, endpoint.url, timeout)


def test_equal_requests_are_sent_once_and_cached_ones_never(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    assert request_replies(endpoint, "a", "退款", "a") == ["a!", "退款!", "a!"]
    assert request_replies(endpoint, "退款") == ["退款!"]
    assert len(endpoint.requests) == 2
    assert endpoint.authorizations == {"Bearer secret"}
    for file in (file for file in tmp_path.rglob("*") if file.is_file()):
        assert "secret" not in file.read_text()


def test_additional_fields_are_sent_under_their_names(endpoint: Endpoint) -> None:
    request_replies(
        endpoint, "a", temperature=0.5, response_format={"type": "json_object"}, top_k=1
    )
    assert endpoint.requests == [
        {
            "model": "a-model",
            "messages": [{"role": "user", "content": "a"}],
            "temperature": 0.5,
            "response_format": {"type": "json_object"},
            "top_k": 1,
        }
    ]


def test_a_request_to_a_busy_endpoint_is_repeated_after_its_retry_after(endpoint: Endpoint) -> None:
    endpoint.retry_after = {"Retry-After": "1"}
    endpoint.failures = [429, 503]
    before = time.monotonic()
    assert request_replies(endpoint, "a") == ["a!"]
    assert time.monotonic() - before >= 2


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(429, "run again: all replies so far are cached"), (404, "correct url, model or key")],
)
def test_a_persistent_status_is_one_line_and_earlier_replies_stay_cached(
    endpoint: Endpoint, status: int, remedy: str
) -> None:
    request_replies(endpoint, "a")
    endpoint.failures = [status] * 100
    with pytest.raises(UserError, match=rf"^{endpoint.url}: .*{status}.*not now.*; {remedy}$"):
        request_replies(endpoint, "a", "b")
    endpoint.failures = []
    assert request_replies(endpoint, "a", "b") == ["a!", "b!"]
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    "malformed",
    [
        {"choices": []}, {"error": {}}, [1], "<html>", {"choices": [{"message": {"content": [1]}}]},
        b"<html>", b"\xff",
    ],
)  # fmt: skip
def test_a_malformed_reply_is_refused_and_not_cached(endpoint: Endpoint, malformed: Any) -> None:
    endpoint.malformed = malformed
    message = (
        "the reply is no chat completion; correct url or model|not a reply of the OpenAI API: "
    )
    with pytest.raises(UserError, match=message) as error:
        request_replies(endpoint, "a")
    assert "\n" not in error.value.message
    endpoint.malformed = None
    assert request_replies(endpoint, "a") == ["a!"]


def test_a_lone_surrogate_in_a_reply_is_replaced(endpoint: Endpoint) -> None:
    """JSON can spell a single surrogate, but UTF-8 cannot encode it."""
    endpoint.reply = lambda request: "\ud83d🙂好"
    assert request_replies(endpoint, "a") == ["\ufffd🙂好"]


def test_a_silent_endpoint_is_one_line(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_completions, "_RETRIES", 1)
    endpoint.replies_left = 0
    with pytest.raises(UserError, match=r"no data for 0\.2 s; allow more time, or run again"):
        request_replies(endpoint, "a", timeout=0.2)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://[", "http://a b/v1"])
def test_a_missing_endpoint_is_one_line(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(chat_completions, "_RETRIES", 0)
    with pytest.raises(UserError, match="no connection; start the endpoint or correct its url"):
        chat_completions.request_replies([{"model": "m", "messages": []}], url, 1)


def test_a_damaged_cached_reply_is_one_line(endpoint: Endpoint, tmp_path: Path) -> None:
    request_replies(endpoint, "a")
    (cached,) = (tmp_path / ".scratch" / "responses").iterdir()
    cached.write_text("")
    with pytest.raises(UserError, match="damaged cached response; remove the file and run again"):
        request_replies(endpoint, "a")


def test_a_key_is_the_sha256_of_the_inputs_as_json() -> None:
    """Computed with coreutils: printf '["u", {"a": 1}]' | sha256sum."""
    expected = "2d917d65b1c39a0c4717679e4fefca4af8a640897b09385b13312fef5733fe25"
    assert response_cache.make_key("u", {"a": 1}) == expected
