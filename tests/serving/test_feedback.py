"""Feedback and outcomes are checked, masked, and stored with the ids of requests."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.serving.logs.log_files import FEEDBACK, OUTCOMES, REQUESTS, read_log
from tests.serving.conftest import BuildGateway, wait_for_lines

KEY = "a-key"
HASHES = {"shop": hashlib.sha256(KEY.encode()).digest()}
CANARY = "Xylophon"


def read_lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the lines of a log without their times."""
    lines = list(read_log(folder, name))
    assert all(line.pop("time") > 1.7e9 for line in lines)
    return lines


def test_feedback_is_stored_with_the_id_of_the_answer(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    async def ask() -> list[str]:
        gateway = build_gateway(log_folder=str(tmp_path))
        answer = (await gateway.ask()).json()["id"]
        stream = (await gateway.ask(stream=True)).headers["x-request-id"]
        for request_id, values in (
            (answer, {"thumb": "down", "score": 1.5}),
            (stream, {"thumb": "up", "comment": None}),
            (answer, {"correction": "Ask jo@example.org.", "comment": "Call 138 1234 5678."}),
        ):
            body = {"request_id": request_id, **values}
            reply = await gateway.client.post("/v1/feedback", json=body)
            assert reply.status_code == 200, reply.text
            assert reply.json() == {
                "object": "feedback", "request_id": request_id, "texts_logged": True,
            }  # fmt: skip
        metrics = (await gateway.client.get("/metrics")).text
        for kind in ("thumb_up", "thumb_down", "score", "correction"):
            assert f'lockstep_feedback_total{{kind="{kind}"}} 1.0' in metrics
        assert [record.endpoint for record in gateway.records][2:] == ["/v1/feedback"] * 3
        return [answer, stream]

    answer, stream = asyncio.run(ask())
    common = {"request_id": answer, "key": "local"}
    assert read_lines(tmp_path, FEEDBACK) == [
        {**common, "thumb": "down", "score": 1.5},
        {**common, "request_id": stream, "thumb": "up"},
        {**common, "correction": "Ask [EMAIL].", "comment": "Call [TELEPHONE]."},
    ]
    assert [line["request_id"] for line in wait_for_lines(tmp_path, 2)] == [answer, stream]


def test_ids_that_were_never_issued_are_unknown_and_old_ones_are_not(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    async def send(gateway: Any, request_id: str) -> int:
        body = {"request_id": request_id, "thumb": "up"}
        reply = await gateway.client.post("/v1/feedback", json=body)
        outcome = {"request_id": request_id, "outcome": "resolved", "value": 1}
        other = await gateway.client.post("/v1/outcome", json=outcome)
        assert reply.status_code == other.status_code
        if reply.is_error:
            assert reply.json()["error"]["code"] == "request_not_found"
            assert reply.json()["error"]["param"] == "request_id"
        else:
            assert reply.json()["texts_logged"] == bool(gateway.settings.log_share)
        return reply.status_code

    async def ask() -> None:
        gateway = build_gateway(log_folder=str(tmp_path / "a"), log_share=0.0)
        request_id = (await gateway.ask()).json()["id"]
        assert await send(gateway, request_id) == 200  # it was not sampled
        restarted = build_gateway(log_folder=str(tmp_path / "a"))
        assert await send(restarted, request_id) == 200
        foreign = (await build_gateway(log_folder=str(tmp_path / "b")).ask()).json()["id"]
        last = "1" if request_id[-1] == "0" else "0"
        other_name = request_id.replace("chatcmpl-", "chatcmpl-0")
        for unknown in (
            foreign, request_id[:-1] + last, request_id[:-1], request_id + "0", other_name,
            "chatcmpl-" + "0" * 40, "0", "é" * 30,
        ):  # fmt: skip
            assert await send(gateway, unknown) == 404, unknown

    asyncio.run(ask())
    assert len(read_lines(tmp_path / "a", FEEDBACK)) == 2
    assert len(read_lines(tmp_path / "a", OUTCOMES)) == 2
    assert read_lines(tmp_path / "a", REQUESTS) == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, "invalid_value"),
        ({"comment": CANARY}, "invalid_value"),
        ({"thumb": CANARY}, "invalid_value"),
        ({"score": 0.9}, "invalid_value"),
        ({"score": 5.1}, "invalid_value"),
        ({"score": "5"}, "invalid_value"),
        ({"correction": ""}, "invalid_value"),
        ({"correction": CANARY * 5000}, "invalid_value"),
        ({"correction": [CANARY]}, "invalid_value"),
        ({"thumb": "up", "n": 1}, "unknown_parameter"),
        ({"thumb": "up", "request_id": [CANARY]}, "invalid_value"),
        ({"thumb": "up", "request_id": CANARY}, "request_not_found"),
    ],
)
def test_feedback_that_is_not_valid_is_refused_without_its_text(
    build_gateway: BuildGateway, tmp_path: Path, values: dict[str, Any], code: str
) -> None:
    async def ask() -> None:
        gateway = build_gateway(log_folder=str(tmp_path))
        body = {"request_id": (await gateway.ask()).json()["id"], **values}
        reply = await gateway.client.post("/v1/feedback", json=body)
        assert reply.json()["error"]["code"] == code
        assert reply.status_code == (404 if code == "request_not_found" else 400)
        assert CANARY not in reply.text
        assert gateway.records[-1].error == code

    asyncio.run(ask())
    assert read_lines(tmp_path, FEEDBACK) == []


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"outcome": "resolved", "value": True}, ""),
        ({"outcome": "resolved", "value": 0.5}, ""),
        ({"outcome": "satisfied", "value": 4}, ""),
        ({"outcome": "revenue", "value": -12.5}, ""),
        ({"outcome": "converted", "value": 2}, "value"),
        ({"outcome": "resolved", "value": -1}, "value"),
        ({"outcome": "revenue", "value": 1e13}, "value"),
        ({"outcome": "revenue", "value": "12"}, "value"),
        ({"outcome": "revenue"}, "value"),
        ({"outcome": CANARY, "value": 1}, "outcome"),
        ({"outcome": "resolved", "value": 1, "user": None}, "user"),
        ({"outcome": "resolved", "value": 1, "user": ""}, "user"),
        ({"outcome": "resolved", "value": 1, "user": CANARY * 40}, "user"),
        ({"outcome": "resolved", "value": 1, "request_id": CANARY}, "user"),
    ],
)
def test_an_outcome_of_a_user_has_the_hash_of_the_user_s_requests(
    build_gateway: BuildGateway, tmp_path: Path, values: dict[str, Any], error: str
) -> None:
    async def ask() -> Any:
        gateway = build_gateway(log_folder=str(tmp_path))
        await gateway.ask(user="jo@example.org")
        return await gateway.client.post("/v1/outcome", json={"user": "jo@example.org", **values})

    reply = asyncio.run(ask())
    if error:
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, error)
        assert CANARY not in reply.text
        assert read_lines(tmp_path, OUTCOMES) == []
        return
    assert reply.json() == {"object": "outcome", "outcome": values["outcome"]}
    (request,) = wait_for_lines(tmp_path, 1)
    (line,) = read_lines(tmp_path, OUTCOMES)
    assert line == {
        "key": "local", "user": request["user"], "outcome": values["outcome"],
        "value": float(values["value"]),
    }  # fmt: skip
    assert "jo@" not in (tmp_path / OUTCOMES).read_text()


def test_patterns_of_the_settings_mask_corrections(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    async def ask() -> None:
        gateway = build_gateway(log_folder=str(tmp_path), log_patterns=[r"C-\d+"])
        request_id = (await gateway.ask()).json()["id"]
        body = {"request_id": request_id, "correction": "You are C-12."}
        assert (await gateway.client.post("/v1/feedback", json=body)).is_success

    asyncio.run(ask())
    assert read_lines(tmp_path, FEEDBACK)[0]["correction"] == "You are [MASKED]."


@pytest.mark.parametrize("path", ["/v1/feedback", "/v1/outcome"])
def test_keys_limits_and_bodies_are_checked_as_elsewhere(
    build_gateway: BuildGateway, tmp_path: Path, path: str
) -> None:
    async def ask() -> None:
        gateway = build_gateway(
            HASHES, log_folder=str(tmp_path), body_kib=1, requests_per_minute=7
        )  # fmt: skip
        client = gateway.client
        body: dict[str, Any] = {"thumb": "up"} if "feedback" in path else {
            "outcome": "resolved", "value": 1,
        }  # fmt: skip
        refused = await client.post(path, json=body)
        assert refused.json()["error"]["code"] == "invalid_api_key"
        client.headers["Authorization"] = f"Bearer {KEY}"
        body["request_id"] = (await gateway.ask()).json()["id"]
        text = json.dumps(body)
        for content, kind, code in (
            (text, "text/plain", "unsupported_media_type"),
            (text + " " * 1024, "application/json", "body_too_large"),
            (text[:-1], "application/json", "invalid_json"),
            (text[:-1] + ', "request_id": "a"}', "application/json", "duplicate_keys"),
            ('{"a":' + "[" * 200 + "]" * 200 + "}", "application/json", "nested_too_deeply"),
            (text, "application/json", ""),
            (text, "application/json", "requests_per_minute"),
        ):
            reply = await client.post(path, content=content, headers={"Content-Type": kind})
            if code:
                assert reply.json()["error"]["code"] == code
            assert reply.is_error == bool(code)
            assert reply.headers["x-request-id"].startswith("feedback-")
        assert reply.status_code == 429 and int(reply.headers["retry-after"]) > 0
        assert (await client.get(path)).status_code == 405
        assert f'endpoint="{path}"' in (await client.get("/metrics")).text

    asyncio.run(ask())
    (line,) = read_lines(tmp_path, FEEDBACK if "feedback" in path else OUTCOMES)
    assert line["key"] == "shop"


def test_without_a_folder_there_is_no_feedback(build_gateway: BuildGateway, tmp_path: Path) -> None:
    async def ask() -> None:
        gateway = build_gateway()
        body = {"request_id": (await gateway.ask()).json()["id"], "thumb": "up"}
        for path in ("/v1/feedback", "/v1/outcome"):
            reply = await gateway.client.post(path, json=body)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "no_log")
        assert (await gateway.client.get("/v1/models")).json()["feedback"] is False
        assert "lockstep_feedback" not in (await gateway.client.get("/metrics")).text
        gateway = build_gateway(log_folder=str(tmp_path))
        assert (await gateway.client.get("/v1/models")).json()["feedback"] is True

    asyncio.run(ask())


def test_feedback_that_is_not_on_disk_is_not_confirmed(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    (tmp_path / FEEDBACK).symlink_to("/dev/full")
    (tmp_path / OUTCOMES).symlink_to("/dev/full")

    async def ask() -> None:
        gateway = build_gateway(log_folder=str(tmp_path))
        body = {"request_id": (await gateway.ask()).json()["id"]}
        for path, values in (
            ("/v1/feedback", {"correction": CANARY}),
            ("/v1/outcome", {"outcome": "revenue", "value": 1}),
        ):
            reply = await gateway.client.post(path, json={**body, **values})
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "30")
            assert reply.json()["error"]["code"] == "log_unavailable"
            assert CANARY not in reply.text
        metrics = (await gateway.client.get("/metrics")).text
        assert 'lockstep_feedback_total{kind="correction"} 0.0' in metrics
        for name in ("feedback", "outcomes"):
            assert f'lockstep_log_lost_lines_total{{log="{name}"}} 1.0' in metrics

    asyncio.run(ask())
