"""Gauges of the last comparison follow its file."""

import json
import logging
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lockstep.serving import api_keys
from lockstep.serving.drift_gauges import DriftCollector
from lockstep.serving.gateway import create_app
from lockstep.serving.serving_params import ServingParams


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
