"""Prompts are sent to the judge that the params name, with all its settings."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.judging.judge_prompts import Prompt
from lockstep.judging.judges import ask_judge
from lockstep.llm_client import chat_completions
from lockstep.models.compute import ComputeParams
from tests.judging.judge_settings import make_params
from tests.llm_server import run_endpoint
from tests.seq2seq_models import write_t5

PROMPTS = [Prompt("Judge.", "a"), Prompt("Judge.", "b")]
COMPUTE = ComputeParams(threads=1, attention="eager")


@pytest.fixture(autouse=True)
def set_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_an_endpoint_gets_the_prompts_with_the_options() -> None:
    with run_endpoint(lambda request: request["messages"][-1]["content"] * 2) as server:
        endpoint = {"url": server.url, "model": "m", "options": {"top_p": 0.5}}
        settings = make_params(endpoint=endpoint)
        assert ask_judge(PROMPTS, settings, COMPUTE, 7) == ["aa", "bb"]
    assert sorted(server.requests, key=str) == [
        {"model": "m", "messages": prompt.messages, "top_p": 0.5} for prompt in PROMPTS
    ]


def test_a_silent_endpoint_is_an_error_after_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chat_completions, "_RETRIES", 0)
    with run_endpoint(lambda request: "") as server:
        server.replies_left = 0
        endpoint = {"url": server.url, "model": "m", "timeout_seconds": 1}
        with pytest.raises(UserError, match="no data for 1 s"):
            ask_judge(PROMPTS, make_params(endpoint=endpoint), COMPUTE, 7)


def test_a_local_model_replies_to_the_prompts(tiny_model: Path) -> None:
    def ask(**changes: Any) -> list[str]:
        model = {"folder": str(tiny_model), "batch_size": 1, "max_new_tokens": 5, **changes}
        return ask_judge(PROMPTS, make_params(by="model", model=model), COMPUTE, 7)

    replies = ask()
    assert len(replies) == 2 and any(replies)
    assert ask(batch_size=2) == replies
    assert ask(max_new_tokens=1) != replies


def test_a_local_model_without_a_chat_template_is_an_error(tiny_model_copy: Path) -> None:
    (tiny_model_copy / "chat_template.jinja").unlink()
    model = {"folder": str(tiny_model_copy)}
    with pytest.raises(UserError, match=rf"^{tiny_model_copy}: not a chat model"):
        ask_judge(PROMPTS, make_params(by="model", model=model), COMPUTE, 7)


def test_a_sequence_to_sequence_model_is_no_judge(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "t5"
    write_t5(folder)
    shutil.copy(tiny_model / "chat_template.jinja", folder)
    with pytest.raises(UserError, match=rf"^{folder}: not a chat model"):
        ask_judge(PROMPTS, make_params(by="model", model={"folder": str(folder)}), COMPUTE, 7)
