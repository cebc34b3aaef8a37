"""Every text is sent once to a server that speaks the API; a rerun sends nothing."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.augmentation import paraphrase
from lockstep.errors import UserError
from lockstep.models.compute import ComputeParams
from tests.llm_server import Endpoint, run_endpoint


def reverse_text(request: dict[str, Any]) -> str:
    return f" {request['messages'][-1]['content'][::-1]}\n"


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with run_endpoint(reverse_text) as server:
        yield server


def paraphrase_texts(endpoint: Endpoint, *texts: str, prompt: str = "Paraphrase it.") -> list[str]:
    return paraphrase.paraphrase_by_endpoint(texts, endpoint.url, "a-model", prompt, 0.7, 3)


def test_each_text_is_sent_once(endpoint: Endpoint, tmp_path: Path) -> None:
    assert paraphrase_texts(endpoint, "abc", "退款", "abc") == ["cba", "款退", "cba"]
    assert len(endpoint.requests) == 2
    assert paraphrase_texts(endpoint, "退款", "abc") == ["款退", "cba"]
    assert len(endpoint.requests) == 2
    assert paraphrase_texts(endpoint, "abc", prompt="Another prompt.") == ["cba"]
    assert len(endpoint.requests) == 3
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or "secret" not in file.read_text()


def test_the_request_has_the_parameters(endpoint: Endpoint) -> None:
    paraphrase_texts(endpoint, "abc")
    assert endpoint.requests == [
        {
            "model": "a-model",
            "messages": [
                {"role": "system", "content": "Paraphrase it."},
                {"role": "user", "content": "abc"},
            ],
            "temperature": 0.7,
            "seed": 3,
        }
    ]


def test_a_reply_is_cached_under_a_hash_of_url_and_request(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    request = (
        f'["{endpoint.url}", {{"messages": [{{"content": "Paraphrase it.", "role": "system"}}, '
        '{"content": "退款", "role": "user"}], "model": "a-model", "seed": 3, "temperature": 0.7}]'
    )
    (tmp_path / ".scratch" / "responses").mkdir(parents=True)
    name = hashlib.sha256(request.encode()).hexdigest()
    cached = tmp_path / ".scratch" / "responses" / f"{name}.json"
    cached.write_text('{"text": " 退钱 "}', encoding="utf-8")
    assert paraphrase_texts(endpoint, "退款") == ["退钱"]
    assert not endpoint.requests


def test_replies_before_a_failure_are_cached(endpoint: Endpoint) -> None:
    paraphrase_texts(endpoint, "abc")
    endpoint.failures = [401]
    with pytest.raises(UserError, match=r"401 .*not now.*; correct url, model or key$"):
        paraphrase_texts(endpoint, "abc", "xyz")
    assert paraphrase_texts(endpoint, "abc", "xyz") == ["cba", "zyx"]
    assert len(endpoint.requests) == 2


def test_a_local_model_runs_once_and_replies_as_transformers_generates(
    tiny_model: Path,
    loaded_model: Any,
    tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    texts = ["Where is my order 101?", "退款多久到账？", "ok then"]

    def generate_with_transformers(text: str) -> str:
        turns = [{"role": "system", "content": "Say it."}, {"role": "user", "content": text}]
        ids = tokenizer.pretrained.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt"
        )
        stop = {"eos_token_id": tokenizer.end_ids[0], "pad_token_id": tokenizer.pad_token_id}
        out = loaded_model.generate(**ids, do_sample=False, max_new_tokens=24, **stop)
        return tokenizer.pretrained.decode(
            out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True
        )

    def paraphrase_texts(texts: list[str], batch_size: int) -> list[str]:
        settings = ComputeParams(threads=1, attention="eager")
        return paraphrase.paraphrase_locally(
            texts, tiny_model, settings, 7, "Say it.", batch_size, 24
        )

    paraphrases = paraphrase_texts(texts, 2)
    assert paraphrases == [generate_with_transformers(text).strip() for text in texts]
    assert any(paraphrases)
    (cached,) = (tmp_path / ".scratch" / "responses").iterdir()
    cached.write_text('["a", "b", "c"]')
    assert paraphrase_texts(texts, 2) == ["a", "b", "c"]
    assert paraphrase_texts(texts, 3) == paraphrases
    assert paraphrase_texts([], 2) == []
