"""Requests are logged in a folder: sampled, masked, with hashed users, and off the event loop."""

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockstep.errors import UserError
from lockstep.models.heads import Head
from lockstep.serving.__main__ import main
from lockstep.serving.logs.file_logger import WAITING, FileLogger
from lockstep.serving.logs.log_files import REQUESTS, read_log
from lockstep.serving.logs.log_folder import LogFolder, open_log
from lockstep.serving.logs.request_log import RequestRecord
from lockstep.serving.logs.text_masking import TextMasker
from lockstep.serving.serving_params import ServingParams
from tests.conftest import REPOSITORY, write_params
from tests.serving.conftest import BuildGateway, wait_for_lines

QUESTION = "Where is it? Write to jo@example.org or 138 1234 5678."
ANSWER = "Order 4711 has been shipped."
CANARY = "Xylophon"


def build_record(name: str, **values: Any) -> RequestRecord:
    return RequestRecord(id=name, time=1.0, endpoint="/v1/chat/completions", **values)


def test_a_line_has_the_documented_keys_with_personal_data_masked(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    async def ask() -> Any:
        gateway = build_gateway(log_folder=str(tmp_path / "logs"))
        await gateway.ask(QUESTION, user="jo@example.org")
        return await gateway.ask(QUESTION, user="jo@example.org", stream=True)

    reply = asyncio.run(ask())
    whole, stream = wait_for_lines(tmp_path / "logs", 2)
    assert whole.keys() == {
        "time", "request_id", "key", "endpoint", "model", "answered_by", "user", "status", "stream",
        "seconds", "queue_seconds", "prompt_tokens", "answer_tokens", "finish_reason", "messages",
        "answer", "refused", "failed",
    }  # fmt: skip
    assert stream.keys() - whole.keys() == {"first_token_seconds"}
    assert stream["request_id"] == reply.headers["x-request-id"]
    assert whole["messages"] == [
        {"role": "user", "content": "Where is it? Write to [EMAIL] or [TELEPHONE]."}
    ]
    assert (whole["answer"], stream["answer"]) == (ANSWER, ANSWER)
    assert (whole["key"], whole["model"], whole["answered_by"]) == ("local", "tuned", "tuned")
    assert (whole["status"], whole["stream"], stream["stream"]) == (200, False, True)
    assert abs(whole["time"] - time.time()) < 60
    assert whole["user"] == stream["user"]
    plain = hashlib.sha256(b"jo@example.org").hexdigest()
    assert not {whole["user"], whole["user"][:32]} & {plain, plain[:32]}
    text = (tmp_path / "logs" / REQUESTS).read_text()
    assert "jo@" not in text and "1234" not in text


def test_the_functions_that_a_request_offers_are_logged(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    tool = {"type": "function", "function": {"name": "track", "description": "of jo@example.org"}}
    gateway = build_gateway(log_folder=str(tmp_path / "logs"))
    gateway.model.context = 600
    asyncio.run(gateway.ask(tools=[tool]))
    (line,) = wait_for_lines(tmp_path / "logs", 1)
    function = {"name": "track", "description": "of [EMAIL]"}
    assert line["tools"] == [{"type": "function", "function": function}]


def test_the_files_are_readable_by_their_owner_alone(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "logs"
    old_mask = os.umask(0)
    try:
        asyncio.run(build_gateway(log_folder=str(folder)).ask())
        wait_for_lines(folder, 1)
    finally:
        os.umask(old_mask)
    assert sorted(path.name for path in folder.iterdir()) == [REQUESTS, "salt"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_answers_of_a_model_with_a_head_and_arguments_of_tools_are_masked(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    async def classify() -> None:
        gateway = build_gateway(log_folder=str(tmp_path))
        gateway.model.head = Head("single_label_classification", ["order", "refund"])
        await gateway.post("/v1/classify", input=QUESTION)

    asyncio.run(classify())
    (line,) = wait_for_lines(tmp_path, 1)
    assert (line["answer"], line["endpoint"]) == ("refund", "/v1/classify")
    assert line["messages"][0]["content"].endswith("[EMAIL] or [TELEPHONE].")
    call = {"function": {"name": "find", "arguments": '{"mail": "jo@example.org", "count": 3}'}}
    masked = TextMasker().mask_values([{"tool_calls": [call], "weight": 1}])
    arguments = masked[0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"mail": "[EMAIL]", "count": 3}


def test_patterns_of_the_settings_are_masked_too(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    patterns = [r"\bC-\d+", r"^Dear \w+"]
    gateway = build_gateway(log_folder=str(tmp_path), log_patterns=patterns)
    asyncio.run(gateway.ask("Hello\nDear Jo, I am C-1234, not 1234."))
    (line,) = wait_for_lines(tmp_path, 1)
    assert line["messages"][0]["content"] == "Hello\n[MASKED], I am [MASKED], not 1234."
    with pytest.raises(ValueError, match="not a regular expression"):
        ServingParams(log_patterns=["("])


def test_a_share_of_the_requests_is_logged_as_their_ids_decide(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    async def ask() -> list[str]:
        gateway = build_gateway(log_folder=str(tmp_path), log_share=0.5)
        return [(await gateway.ask()).json()["id"] for _ in range(40)]

    ids = asyncio.run(ask())
    hashes = {name: int(hashlib.sha256(name.encode()).hexdigest(), 16) / 2**256 for name in ids}
    sampled = [name for name in ids if hashes[name] < 0.5]
    assert 5 < len(sampled) < 35
    lines = wait_for_lines(tmp_path, len(sampled))
    assert [line["request_id"] for line in lines] == sampled


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_every_request_of_an_ab_test_has_a_line_with_texts_for_the_share_alone(
    tmp_path: Path, share: float
) -> None:
    logger = FileLogger(LogFolder(tmp_path, 1), share, TextMasker())
    for name, variant in (("c", ""), ("d", "a"), ("e", "b")):
        logger.log(build_record(name, variant=variant, user="u", answer="Mail jo@example.org."))
    lines = wait_for_lines(tmp_path, 3 if share else 2)
    assert [(line["request_id"], line.get("variant")) for line in lines] == (
        [("c", None), ("d", "a"), ("e", "b")] if share else [("d", "a"), ("e", "b")]
    )
    assert [line.get("answer") for line in lines] == (
        ["Mail [EMAIL]."] * 3 if share else [None] * 2
    )
    assert all("user" in line for line in lines)


def test_invalid_requests_are_logged_without_texts(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    gateway = build_gateway(log_folder=str(tmp_path))
    asyncio.run(gateway.ask(CANARY, max_tokens=1000))
    (line,) = wait_for_lines(tmp_path, 1)
    assert (line["status"], line["error"]) == (400, "context_length_exceeded")
    assert not {"messages", "answer"} & line.keys()
    assert CANARY not in (tmp_path / REQUESTS).read_text()


def test_without_a_folder_no_text_of_a_request_appears_anywhere(
    build_gateway: BuildGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither in the program's log, nor in metrics, files or errors."""
    monkeypatch.chdir(tmp_path)
    message = {"role": "user", "content": CANARY}
    functions: list[dict[str, Any]] = [
        {"name": "find", "description": CANARY, "parameters": {"type": "object", "properties": {}}},
        {"name": f"{CANARY} {CANARY}"},
        {"name": "find", "parameters": {"type": CANARY}},
        {"name": "find", CANARY: CANARY},
    ]
    bodies: list[dict[str, Any]] = [
        {},
        {"stream": True},
        {"user": CANARY},
        {"stop": CANARY},
        {"model": CANARY},
        {"temperature": CANARY},
        {"max_tokens": 1000},
        {"messages": CANARY},
        {"messages": [message, message]},
        {"messages": [{"role": CANARY, "content": CANARY}]},
        {"messages": [{**message, CANARY: CANARY}]},
        {"messages": [{"role": "user", "content": f"{CANARY} <|im_end|>"}]},
        {"messages": [{"role": "user", "content": [{"type": CANARY, "text": CANARY}]}]},
        {"messages": [message], "tools": [{"type": "function", "name": CANARY}]},
        *({"tools": [{"type": "function", "function": function}]} for function in functions),
    ]
    raw = [
        f'{{"model": "tuned", "messages": "{CANARY}", "messages": "{CANARY}"}}',
        f'{{"model": "tuned", "messages": {CANARY}',
        f'{{"model": "tuned", "messages": [{{"role": "user", "content": "{CANARY}\\ud800"}}]}}',
    ]

    async def ask() -> str:
        gateway = build_gateway()
        replies = [await gateway.ask(**{"text": CANARY, **body}) for body in bodies]
        for text in raw:
            headers = {"Content-Type": "application/json"}
            replies.append(
                await gateway.client.post("/v1/chat/completions", content=text, headers=headers)
            )
        for path in ("/v1/feedback", "/v1/outcome"):
            replies.append(await gateway.post(path, request_id=CANARY, correction=CANARY))
        assert {reply.status_code for reply in replies} == {200, 400, 404}
        for fails_after in (0, 3):
            gateway.engine.fails_after = fails_after
            replies += [await gateway.ask(CANARY), await gateway.ask(CANARY, stream=True)]

        async def fail(*_: Any) -> list[list[float]]:
            raise ValueError(CANARY)

        gateway.model.head = Head("single_label_classification", ["order", "refund"])
        gateway.engine.classify = fail  # type: ignore[method-assign]
        with pytest.raises(ValueError, match=CANARY):  # the transport of the test raises bugs
            await gateway.post("/v1/classify", input=CANARY)
        metrics = (await gateway.client.get("/metrics")).text
        return "\n".join([metrics, *(reply.text for reply in replies if reply.is_error)])

    with caplog.at_level("DEBUG", logger="lockstep"):
        shown = asyncio.run(ask())
    assert "internal_error" in caplog.text
    assert CANARY not in shown
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capfd.readouterr())
    assert list(tmp_path.rglob("*")) == []


def test_a_restart_keeps_the_hashes_of_users_and_a_new_salt_does_not(tmp_path: Path) -> None:
    folder = LogFolder(tmp_path, 1)
    before = folder.hash_user("jo")
    assert LogFolder(tmp_path, 1).hash_user("jo") == before
    assert folder.hash_user("joe") != before
    assert re.fullmatch(r"[0-9a-f]{64}\n", (tmp_path / "salt").read_text())
    (tmp_path / "salt").unlink()
    assert LogFolder(tmp_path, 1).hash_user("jo") != before
    (tmp_path / "salt").write_text("pepper")
    with pytest.raises(UserError, match=r"salt: not the 64 hex digits of a salt; restore the file"):
        LogFolder(tmp_path, 1)


@pytest.mark.parametrize("deleted", ["logs", "logs/salt"])
def test_what_was_deleted_is_made_again_with_the_same_salt(
    build_gateway: BuildGateway, tmp_path: Path, deleted: str
) -> None:
    folder = tmp_path / "logs"

    async def ask() -> None:
        gateway = build_gateway(log_folder=str(folder))
        salt = (folder / "salt").read_text()
        (tmp_path / deleted).rename(tmp_path / "away")
        await gateway.ask(user="jo")
        while not (folder / REQUESTS).exists() or not (folder / REQUESTS).read_text():
            await asyncio.sleep(0.01)
        assert (folder / "salt").read_text() == salt

    asyncio.run(ask())
    (line,) = wait_for_lines(folder, 1)
    assert line["user"] == LogFolder(folder, 1).hash_user("jo")


def test_the_gateway_answers_while_its_log_cannot_be_written(
    build_gateway: BuildGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask() -> str:
        gateway = build_gateway(log_folder=str(tmp_path))
        (tmp_path / REQUESTS).unlink()
        (tmp_path / REQUESTS).symlink_to("/dev/full")
        assert [(await gateway.ask()).status_code for _ in range(3)] == [200] * 3
        for _ in range(500):
            metrics = (await gateway.client.get("/metrics")).text
            if 'lockstep_log_lost_lines_total{log="requests"} 3.0' in metrics:
                break
            await asyncio.sleep(0.01)
        return metrics

    metrics = asyncio.run(ask())
    assert 'lockstep_log_lost_lines_total{log="requests"} 3.0' in metrics
    assert [text for text in caplog.messages if "space" in text] == [
        f"serve: {tmp_path / REQUESTS}: No space left on device; lines are lost until this is "
        "corrected"
    ]


def test_records_that_wait_are_bounded(tmp_path: Path) -> None:
    folder = LogFolder(tmp_path, 1)
    logger = FileLogger(folder, 1.0, TextMasker())
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # another gateway writes
    for number in range(WAITING + 5):
        logger.log(build_record(f"c{number}"))
    os.close(descriptor)
    assert folder.requests.lost == 5
    assert len(wait_for_lines(tmp_path, WAITING)) == WAITING
    logger.log(build_record("last"))
    assert wait_for_lines(tmp_path, WAITING + 1)[-1]["request_id"] == "last"


def test_a_bug_while_a_line_is_built_is_reported_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = LogFolder(tmp_path, 1)
    logger = FileLogger(folder, 1.0, TextMasker())
    logger.log(build_record("bad", answer=f"{CANARY}\ud800"))
    logger.log(build_record("good"))
    assert wait_for_lines(tmp_path, 1)[0]["request_id"] == "good"
    assert (folder.requests.lost, len(caplog.messages)) == (1, 1)
    assert "a request was not logged" in caplog.text and CANARY not in caplog.text


def test_the_size_of_the_settings_bounds_each_log(tmp_path: Path) -> None:
    folder = open_log(ServingParams(log_folder=str(tmp_path), log_mib=1))
    assert folder is not None
    for number in range(30):
        for writer in (folder.requests, folder.feedback, folder.outcomes):
            assert writer.write({"number": number, "text": "a" * 60_000})
    for name in (REQUESTS, "feedback.jsonl", "outcomes.jsonl"):
        size = sum(path.stat().st_size for path in tmp_path.glob(f"{name}*"))
        assert 2**19 < size <= 2**20
        assert [line["number"] for line in read_log(tmp_path, name)][-1] == 29


def test_lines_that_wait_are_written_when_the_process_ends(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from lockstep.serving.logs.file_logger import *\n"
        "logger = FileLogger(LogFolder(Path('.'), 1), 1.0, TextMasker())\n"
        "for number in range(200):\n"
        "    record = RequestRecord(id=str(number), time=1.0, endpoint='/', answer='1 ' * 999)\n"
        "    logger.log(record)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    numbers = [int(line["request_id"]) for line in read_log(tmp_path, REQUESTS)]
    assert numbers[-1] == 199
    assert numbers == list(range(numbers[0], 200))


def test_a_folder_that_cannot_be_written_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in ("file", "file/logs"):
        with pytest.raises(
            UserError, match=r"params\.yaml: serving\.log_folder: .*file.*; correct"
        ):
            open_log(ServingParams(log_folder=str(tmp_path / path)))
    assert open_log(ServingParams()) is None


def test_the_folder_is_checked_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **values: None)
    (tmp_path / "file").write_text("")
    write_params(tmp_path, {"serving.log_folder": "file/logs"})
    result = CliRunner().invoke(main)
    assert result.exit_code == 2
    assert result.stderr == (
        "error: params.yaml: serving.log_folder: file/logs: Not a directory; correct it or choose "
        "another folder\n"
    )
