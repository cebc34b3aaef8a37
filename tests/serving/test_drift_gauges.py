"""Drift and the gateway: gauges follow the last comparison, and logged requests are read."""

import asyncio
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lockstep.drift import compared_texts
from lockstep.serving import api_keys
from lockstep.serving.drift_gauges import DriftCollector
from lockstep.serving.gateway import create_app
from lockstep.serving.logs.text_masking import TextMasker
from lockstep.serving.serving_params import ServingParams
from tests.serving.conftest import BuildGateway, wait_for_lines


def write_results(file: Path, alarm: bool, modified: int) -> None:
    content = {"time": 1700.5, "tests": {"unseen words": {"alarm": alarm, "effect": 0.25}}}
    file.write_text(json.dumps(content), encoding="utf-8")
    os.utime(file, ns=(modified, modified))


def list_values(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_gauges_follow_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry, file = CollectorRegistry(), tmp_path / "drift.json"
    registry.register(DriftCollector(tmp_path))
    assert list_values(registry) == []
    write_results(file, alarm=False, modified=10**18)
    assert list_values(registry) == [
        'lockstep_drift_alarm{test="unseen words"} 0.0',
        'lockstep_drift_effect{test="unseen words"} 0.25',
        "lockstep_drift_time_seconds 1700.5",
    ]
    write_results(file, alarm=True, modified=2 * 10**18)
    assert list_values(registry)[0] == 'lockstep_drift_alarm{test="unseen words"} 1.0'
    with caplog.at_level(logging.ERROR):
        for content in ('{"time": 1, "tests": {"x": {}}}', "{", "[1]"):
            file.write_text(content, encoding="utf-8")
            assert list_values(registry) == []
            assert list_values(registry) == []
    assert [record.message for record in caplog.records] == [
        f"serve: {file}: not readable; run `make drift` again"
    ] * 3
    file.unlink()
    assert list_values(registry) == []


def test_the_gateway_shows_the_gauges_of_its_log_folder(tmp_path: Path) -> None:
    write_results(tmp_path / "drift.json", alarm=True, modified=10**18)
    app = create_app(ServingParams(log_folder=str(tmp_path)), {}, api_keys.read_keys(""))
    assert b'lockstep_drift_alarm{test="unseen words"} 1.0' in app.state.metrics.write()


def test_requests_that_the_gateway_logged_are_compared(
    build_gateway: BuildGateway, tmp_path: Path
) -> None:
    """One text per user and per conversation, whatever the endpoint; refused ones do not count."""

    async def ask() -> None:
        gateway = build_gateway(log_folder=str(tmp_path))
        turns = [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": "write to jo@example.org"},
        ]
        await gateway.ask(messages=turns[:2])
        await gateway.ask(messages=turns)
        await gateway.ask("first question", user="jo")
        await gateway.ask("second question", user="jo")
        await gateway.post("/v1/completions", prompt="Once upon a time")
        await gateway.ask(messages=[])

    asyncio.run(ask())
    wait_for_lines(tmp_path, 6)
    logged = compared_texts.read_requests(tmp_path, 0, TextMasker(), np.random.default_rng(0))
    assert (logged.requests, logged.conversations, logged.users) == (5, 4, 3)
    by_text = {item.text: item for item in logged.texts}
    by_jo = by_text.keys() & {"first question", "second question"}
    assert by_text.keys() - by_jo == {"hello\nwrite to [EMAIL]", "Once upon a time"}
    assert len(by_jo) == 1
    chat = by_text["hello\nwrite to [EMAIL]"]
    assert (chat.system, chat.answer) == ("Be kind.", "Order 4711 has been shipped.")
