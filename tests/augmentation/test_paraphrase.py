"""Every text is asked once, from a server that speaks the API; a rerun asks nothing."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.augmentation import paraphrase
from lockstep.errors import UserError
from tests.llm_server import Endpoint, serving


def backwards(request: dict[str, Any]) -> str:
    return f" {request['messages'][-1]['content'][::-1]}\n"


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with serving(backwards) as server:
        yield server


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


def test_an_answer_is_kept_under_a_hash_of_endpoint_and_request(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    asked = (
        f'["{endpoint.url}", {{"messages": [{{"content": "Say it otherwise.", "role": "system"}}, '
        '{"content": "退款", "role": "user"}], "model": "a-model", "seed": 3, "temperature": 0.7}]'
    )
    (tmp_path / ".scratch" / "responses").mkdir(parents=True)
    name = hashlib.sha256(asked.encode()).hexdigest()
    kept = tmp_path / ".scratch" / "responses" / f"{name}.json"
    kept.write_text('{"text": " 退钱 "}', encoding="utf-8")
    assert ask(endpoint, "退款") == ["退钱"]
    assert not endpoint.asked


def test_what_was_answered_before_a_failure_is_kept(endpoint: Endpoint) -> None:
    ask(endpoint, "abc")
    endpoint.failures = [401]
    with pytest.raises(UserError, match=r"401 .*not now.*; correct url, model or key$"):
        ask(endpoint, "abc", "xyz")
    assert ask(endpoint, "abc", "xyz") == ["cba", "zyx"]
    assert len(endpoint.asked) == 2


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
