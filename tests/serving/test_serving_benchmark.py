"""The benchmark of serving notices answers that are lost or mixed, and prints its tables."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from benchmarks import serving
from benchmarks.chat_servers import ChatServer
from benchmarks.serving import Load, Reply, Soak
from lockstep.models.chat import ChatTokenizer
from tests.serving.conftest import RunningServer

ANSWERS = {serving.ask_number(number): f"Order {number} is on its way." for number in range(8)}


def build_reply(number: int, name: str) -> Reply:
    text = ANSWERS[serving.ask_number(number)]
    return Reply(text, {name}, seconds=0.2, first_seconds=0.1, is_complete=True)


def check(reply: Reply) -> tuple[int, int]:
    """Return the numbers of lost and mixed answers after a sound one and another."""
    soak = Soak()
    soak.check(build_reply(1, "a"), ANSWERS[serving.ask_number(1)])
    soak.check(reply, ANSWERS[serving.ask_number(2)])
    return len(soak.lost), len(soak.mixed)


def test_a_soak_counts_answers_that_are_lost_or_mixed() -> None:
    sound = build_reply(2, "b")
    assert check(sound) == (0, 0)
    assert check(build_reply(1, "b")) == (0, 1)
    assert check(replace(sound, ids={"b", "c"})) == (0, 1)
    assert check(replace(sound, ids={"a"})) == (0, 1)
    assert check(replace(sound, text=sound.text[:-1])) == (0, 1)
    assert check(replace(sound, is_complete=False)) == (1, 0)
    assert check(replace(sound, ids={"b", "error"})) == (1, 0)


def test_tables() -> None:
    seconds = {"engine": [0.010] * 99 + [0.020], "gateway": [0.012] * 99 + [0.032]}
    assert [*serving.format_overhead(seconds)][2:] == [
        "| p50 | 10.00 | 12.00 | 2.00 | 3 |",
        "| p99 | 10.10 | 12.20 | 2.10 | 10 |",
    ]
    load = Load("gateway", 8, 2.0, 60, [build_reply(1, "a")] * 4, 1)
    assert [*serving.format_load([load])][2:] == [
        "| gateway | 8 | 2.0 | 30 | 100 | 100 | 200 | 200 | 1 |"
    ]
    soak = Soak(answers=9, memory=[(0, {"gateway": 90.0}), (60, {"gateway": 100.0})] * 2)
    soak.memory[-1] = (120, {"gateway": 103.0})
    *_, line = serving.format_soak(soak, 64)
    assert line == (
        "64 streaming clients: 9 answers, 0 lost, 0 mixed; memory after the warm-up: gateway +3.0%."
    )


@pytest.fixture
def gateway(server: RunningServer) -> ChatServer:
    return ChatServer("gateway", server.url, "tuned", server.process.pid)


def test_a_running_server_is_measured(
    gateway: ChatServer, starter_tokenizer: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "TOKENS", 12)
    load = asyncio.run(serving.measure_load(gateway, 4, 8, starter_tokenizer))
    assert (len(load.replies), load.failures) == (8, 0)
    answers: dict[str, str] = {}
    for number in range(4):

        async def ask(question: str) -> str:
            async with gateway.connect() as client:
                return (await serving.stream_answer(client, gateway, question)).text

        question = serving.ask_number(number)
        answers[question] = asyncio.run(ask(question))
    processes = {"gateway": gateway.process}
    soak = asyncio.run(serving.run_soak(gateway, answers, 2, 0.5, processes))
    assert (soak.answers > 0, soak.lost, soak.mixed) == (True, [], [])
    wrong = dict.fromkeys(answers, "another answer")
    assert asyncio.run(serving.run_soak(gateway, wrong, 2, 0.1, processes)).mixed
    assert soak.memory[0][1]["gateway"] > 10


def test_a_client_that_is_refused_counts_as_a_failure(
    gateway: ChatServer, starter_tokenizer: ChatTokenizer
) -> None:
    other = replace(gateway, model="none")
    with pytest.raises(httpx2.HTTPStatusError):
        asyncio.run(serving.measure_load(other, 1, 2, starter_tokenizer))
    soak = asyncio.run(serving.run_soak(other, ANSWERS, 1, 0.1, {"gateway": gateway.process}))
    assert soak.lost and not soak.answers
