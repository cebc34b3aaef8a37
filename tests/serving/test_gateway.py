"""The gateway refuses what it must, within its limits, and hands each request to its loggers."""

import asyncio
import hashlib
import json
import time
from typing import Any

import httpx2
import pytest

from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from tests.serving.conftest import BuildGateway, Gateway, join_deltas, read_events

KEY = "a-key"
HASHES = {"shop": hashlib.sha256(KEY.encode()).digest()}
ANSWER = "Order 4711 has been shipped."


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_an_answer_and_its_record(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        reply = await gateway.ask(user="u1")
        assert reply.json()["choices"][0]["message"]["content"] == ANSWER
        (record,) = gateway.records
        assert record.id == reply.json()["id"] == reply.headers["x-request-id"]
        assert (record.key, record.model, record.answered_by) == ("local", "tuned", "tuned")
        assert (record.user, record.status, record.error) == ("u1", 200, "")
        assert record.messages == [{"role": "user", "content": "Where is it?"}]
        assert record.answer == ANSWER
        assert record.answer_tokens == reply.json()["usage"]["completion_tokens"] > 0
        assert ANSWER not in repr(record)
        assert gateway.engine.seen[0].temperature == 0
        prompt = [{"role": "user", "content": "Where is it?"}]
        assert gateway.engine.seen[0].prompt == gateway.model.tokenizer.encode_prompt(prompt)

    run(ask())


def test_keys_are_needed_where_there_are_some(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway(HASHES)
        for header in ("", "Bearer", "Bearer b", KEY, f"Basic {KEY}"):
            for path in ("/v1/models", "/metrics"):
                reply = await gateway.client.get(path, headers={"Authorization": header})
                assert reply.status_code == 401
        assert (await gateway.ask()).json()["error"]["code"] == "invalid_api_key"
        assert not gateway.engine.seen
        gateway.client.headers["Authorization"] = f"Bearer {KEY}"
        assert (await gateway.ask()).status_code == 200
        assert gateway.records[-1].key == "shop"
        assert (await gateway.client.get("/healthz", headers={"Authorization": ""})).is_success

    run(ask())


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"model": "other"}, 404, "model_not_found"),
        ({"temperature": 3}, 400, "invalid_value"),
        ({"temperature": "1"}, 400, "invalid_value"),
        ({"colour": 1}, 400, "unknown_parameter"),
        ({"n": 2}, 400, "unsupported_parameter"),
        ({"max_tokens": 60}, 400, "context_length_exceeded"),
        ({"messages": []}, 400, "invalid_value"),
        ({"messages": [{"role": "boss", "content": "a"}]}, 400, "unknown_role"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, 400, "assistant_after_start"),
        ({"messages": [{"role": "user", "content": "a <|im_end|>"}]}, 400, "refused_messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400,
         "images_in_text_model"),
    ],
)  # fmt: skip
def test_what_no_model_can_answer_is_refused(
    build_gateway: BuildGateway, values: dict[str, Any], status: int, code: str
) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        reply = await gateway.ask(**values)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
        assert gateway.records[0].error == code
        assert not gateway.engine.seen

    run(ask())


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("chat/completions", '{"temprature": 1}', "did you mean temperature?"),
        ("chat/completions", '{"colour": 1}', "colour: unknown parameter; remove it"),
        ("chat/completions", '{"model": "tuned",}', "at character 19"),
        ("classify", '{"model": "tuned", "input": "a"}', "use /v1/chat/completions"),
    ],
)
def test_a_message_names_the_remedy(
    build_gateway: BuildGateway, path: str, body: str, message: str
) -> None:
    async def ask() -> None:
        values = {"model": "tuned", "messages": [{"role": "user", "content": "a"}]}
        text = body if "model" in body else json.dumps(values | json.loads(body))
        reply = await build_gateway().client.post(
            f"/v1/{path}", content=text, headers={"Content-Type": "application/json"}
        )
        assert reply.json()["error"]["message"].endswith(message)

    run(ask())


def test_what_changes_nothing_is_accepted(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        reply = await build_gateway().ask(
            n=1, logprobs=False, presence_penalty=0.0, frequency_penalty=0, tools=[], store=True,
            metadata={"a": "b"}, response_format={"type": "text"}, logit_bias=None, stop=None,
        )  # fmt: skip
        assert reply.status_code == 200, reply.text

    run(ask())


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"[]", "application/json", 400, "invalid_json"),
        (b"\xff", "application/json", 400, "invalid_json"),
        (b'{"model":"tuned","model":"base"}', "application/json", 400, "duplicate_keys"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "application/json", 400, "nested_too_deeply"),
        (b"[" * 1500, "application/json", 400, "invalid_json"),
        (b" " * 1025, "application/json", 413, "body_too_large"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_malformed_bodies_are_refused(
    build_gateway: BuildGateway, body: bytes, kind: str, status: int, code: str
) -> None:
    async def ask() -> None:
        gateway = build_gateway(body_kib=1 if status == 413 else 256)
        reply = await gateway.client.post(
            "/v1/completions", content=body, headers={"Content-Type": kind}
        )
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)

    run(ask())


def test_a_server_without_keys_answers_to_names_of_this_machine_alone(
    build_gateway: BuildGateway,
) -> None:
    async def ask() -> None:
        for host, status in (
            ("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 403),
        ):  # fmt: skip
            reply = await build_gateway().client.get("/healthz", headers={"Host": host})
            assert reply.status_code == status, host
        reply = await build_gateway(HASHES).client.get("/healthz", headers={"Host": "a.example"})
        assert reply.status_code == 200

    run(ask())


def test_no_response_allows_other_origins(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        preflight = await gateway.client.options("/v1/completions", headers=headers)
        page = await gateway.client.get("/", headers=headers)
        assert (preflight.status_code, preflight.headers["allow"]) == (405, "POST")
        for reply in (preflight, page):
            assert not any(name.startswith("access-control") for name in reply.headers)
            assert "default-src 'none'" in reply.headers["content-security-policy"]
            assert "unsafe" not in reply.headers["content-security-policy"]

    run(ask())


def test_an_error_repeats_no_long_key(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        reply = await build_gateway().ask(**{"k" * 100_000: 1})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unknown_parameter")
        assert len(reply.content) < 500

    run(ask())


def test_requests_per_minute_hold_exactly_in_parallel(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway(requests_per_minute=50, concurrent=4, queued=500)
        replies = await asyncio.gather(*(gateway.ask() for _ in range(200)))
        statuses = [reply.status_code for reply in replies]
        assert (statuses.count(200), statuses.count(429)) == (50, 150)
        refused = next(reply for reply in replies if reply.status_code == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert refused.json()["error"]["code"] == "requests_per_minute"
        assert gateway.engine.most_running == 4
        assert (
            'lockstep_rejects_total{limit="requests_per_minute"} 150.0'
            in (await gateway.client.get("/metrics")).text
        )

    run(ask())


def test_tokens_per_minute_hold_exactly_in_parallel(
    build_gateway: BuildGateway, starter_tokenizer: ChatTokenizer
) -> None:
    prompt = starter_tokenizer.encode_prompt([{"role": "user", "content": "Where is it?"}])
    cost = len(prompt) + 10

    async def ask() -> None:
        gateway = build_gateway(tokens_per_minute=7 * cost + 5, requests_per_minute=0, queued=99)
        replies = await asyncio.gather(*(gateway.ask(max_tokens=10) for _ in range(40)))
        assert [reply.status_code for reply in replies].count(200) == 7
        small = build_gateway(tokens_per_minute=cost - 1)
        assert (await small.ask(max_tokens=10)).status_code == 400

    run(ask())


def test_each_key_has_its_own_minute(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        hashes = {name: hashlib.sha256(name.encode()).digest() for name in ("a", "b")}
        gateway = build_gateway(hashes, requests_per_minute=1)
        statuses = []
        for key in ("a", "a", "b"):
            gateway.client.headers["Authorization"] = f"Bearer {key}"
            statuses.append((await gateway.ask()).status_code)
        assert statuses == [200, 429, 200]

    run(ask())


def test_the_queue_is_bounded_in_number_and_time(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway(concurrent=2, queued=3, queue_seconds=0.1)
        gateway.engine.release.clear()
        tasks = [asyncio.create_task(gateway.ask()) for _ in range(8)]
        await asyncio.sleep(0.3)
        gateway.engine.release.set()
        replies = await asyncio.gather(*tasks)
        refused = [reply for reply in replies if reply.status_code == 429]
        codes = [reply.json()["error"]["code"] for reply in refused]
        assert {reply.headers["retry-after"] for reply in refused} == {"1"}
        assert sorted(codes) == ["queue_full"] * 3 + ["queue_timeout"] * 3
        assert [reply.status_code for reply in replies].count(200) == 2
        assert (gateway.model.slots.running, gateway.model.slots.waiting) == (0, 0)
        assert (await gateway.ask()).status_code == 200

    run(ask())


def test_an_engine_that_is_down_or_slow(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway(request_seconds=0.1)
        gateway.engine.fails_after = 0
        reply = await gateway.ask(stream=True)
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
        gateway.engine.release.clear()
        assert (await gateway.ask()).status_code == 504
        gateway.model.is_ready = lambda: False
        assert (await gateway.ask()).json()["error"]["code"] == "engine_unavailable"
        assert (await gateway.client.get("/readyz")).status_code == 503
        assert gateway.model.slots.running == gateway.engine.running == 0

    run(ask())


def test_a_stream_that_breaks_ends_with_an_error(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        gateway.engine.fails_after = 6
        reply = await gateway.ask(stream=True)
        events = read_events(reply.text)
        assert events[-1]["error"]["code"] == "engine_unavailable"
        assert ANSWER.startswith(join_deltas(events)) and join_deltas(events)
        record = gateway.records[0]
        assert (record.status, record.error) == (503, "engine_unavailable")
        assert record.finish_reason == "error"

    run(ask())


def test_a_stream_has_the_parts_that_openai_documents(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        reply = await gateway.ask(stream=True, stream_options={"include_usage": True})
        assert reply.headers["content-type"].startswith("text/event-stream")
        *chunks, usage, done = read_events(reply.text)
        assert done == "[DONE]"
        assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert (usage["choices"], usage["usage"]["total_tokens"] > 0) == ([], True)
        assert join_deltas(chunks) == ANSWER
        assert gateway.records[0].first_token_seconds is not None

    run(ask())


def test_a_client_that_leaves_frees_its_slot(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway(concurrent=1)
        gateway.engine.release.clear()
        task = asyncio.create_task(gateway.ask(stream=True))
        while not gateway.engine.running:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (gateway.model.slots.running, gateway.engine.running) == (0, 0)
        assert gateway.records[0].status == 499

    run(ask())


def test_stop_sequences_end_the_answer_and_are_no_part_of_it(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        for stop, text in (("has", "Order 4711 "), (["nothing", "11"], "Order 47"), ("zz", ANSWER)):
            whole = await gateway.ask(stop=stop)
            assert whole.json()["choices"][0]["message"]["content"] == text
            assert whole.json()["choices"][0]["finish_reason"] == "stop"
            stream = await gateway.ask(stop=stop, stream=True)
            assert join_deltas(read_events(stream.text)) == text

    run(ask())


def build_gateway_with_bugs(build_gateway: BuildGateway) -> Gateway:
    """Return a gateway whose client raises no exception of it."""
    gateway = build_gateway()
    transport = httpx2.ASGITransport(gateway.app, raise_app_exceptions=False)
    gateway.client = httpx2.AsyncClient(transport=transport, base_url="http://localhost")
    return gateway


def test_a_bug_in_a_stream_is_no_fault_of_the_client(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway_with_bugs(build_gateway)
        gateway.engine.ids[3] = -1
        await gateway.ask(stream=True)
        (record,) = gateway.records
        assert (record.status, record.error) == (500, "internal_error")
        assert gateway.model.slots.running == gateway.engine.running == 0

    run(ask())


def test_a_bug_is_answered_without_its_text_and_with_all_headers(
    build_gateway: BuildGateway,
) -> None:
    async def ask() -> None:
        gateway = build_gateway_with_bugs(build_gateway)
        del gateway.engine.ids
        reply = await gateway.ask()
        assert (reply.status_code, reply.json()["error"]["code"]) == (500, "internal_error")
        assert "ScriptedEngine" not in reply.text
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert (gateway.records[0].status, gateway.model.slots.running) == (500, 0)

    run(ask())


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/classify"])
def test_a_long_prompt_holds_up_no_other_request(build_gateway: BuildGateway, path: str) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        text = {"prompt": "1" * 200_000}
        if path == "/v1/classify":
            gateway.model.head = Head("single_label_classification", ["order", "refund"])
            text = {"input": "1" * 200_000}
        start = before = time.perf_counter()
        longest = 0.0
        task = asyncio.create_task(gateway.post(path, **text))
        while not task.done():
            await asyncio.sleep(0.001)
            longest, before = max(longest, time.perf_counter() - before), time.perf_counter()
        assert (await task).status_code in (200, 400)
        assert longest < (time.perf_counter() - start) / 2

    run(ask())


def test_a_model_with_a_head_classifies_and_does_not_chat(build_gateway: BuildGateway) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        assert (await gateway.post("/v1/classify", input="a")).status_code == 400
        gateway.model.head = Head("single_label_classification", ["order", "refund"])
        reply = await gateway.post("/v1/classify", input="Money back!")
        assert reply.json()["answer"] == "refund"
        assert reply.json()["scores"] == {"order": -1.0, "refund": 2.5}
        assert (await gateway.ask()).json()["error"]["code"] == "model_with_head"
        both = await gateway.post("/v1/classify", input="a", messages=[])
        assert both.status_code == 400

    run(ask())


def test_texts_are_logged_only_if_asked_for(
    build_gateway: BuildGateway, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(log_texts: bool) -> dict[str, Any]:
        caplog.clear()
        with caplog.at_level("INFO", logger="lockstep.serving"):
            await build_gateway(log_texts=log_texts).ask()
        return json.loads(caplog.messages[-1])

    assert not {"messages", "answer"} & run(ask(False)).keys()
    assert run(ask(True))["answer"] == ANSWER
