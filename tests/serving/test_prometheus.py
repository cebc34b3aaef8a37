"""Prometheus itself scrapes a gateway, evaluates the alert rules and answers the dashboard."""

import asyncio
import hashlib
import json
import math
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from ruamel.yaml import YAML

from lockstep.serving.__main__ import open_socket
from lockstep.serving.drift_gauges import DRIFT_FILE
from tests.conftest import REPOSITORY
from tests.serving.conftest import BuildGateway, Gateway, find_tool

FOLDER = REPOSITORY / "cluster/serving"
KEY = "a-key"
SCRAPE = "200ms"
PANELS = json.loads((FOLDER / "grafana/dashboards/lockstep.json").read_text())["panels"]
QUERIES = {
    (panel["title"], target["legendFormat"]): target["expr"]
    for panel in PANELS
    for target in panel.get("targets", [])
}


@asynccontextmanager
async def serve(gateway: Gateway) -> AsyncIterator[int]:
    """Serve a gateway on a free port of loopback."""
    with open_socket("127.0.0.1", 0) as listener:
        config = uvicorn.Config(gateway.app, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Prometheus:
    """A client of Prometheus."""

    def __init__(self, port: int) -> None:
        self.client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)

    async def get(self, path: str, **parameters: str) -> Any:
        reply = await self.client.get(f"/api/v1/{path}", params=parameters)
        assert reply.json()["status"] == "success", reply.text
        return reply.json()["data"]

    async def query(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and the value of each series."""
        query = query.replace("$__rate_interval", "1m").replace("$model", ".*")
        assert "$" not in query
        entries = (await self.get("query", query=query))["result"]
        return [(entry["metric"], float(entry["value"][1])) for entry in entries]

    async def wait_for(self, query: str) -> None:
        """Wait until a query has a result."""
        for _ in range(400):
            try:
                if await self.query(query):
                    return
            except httpx2.TransportError:  # it starts
                pass
            await asyncio.sleep(0.1)
        raise AssertionError(await self.get("targets"))


@asynccontextmanager
async def run_prometheus(folder: Path, gateway_port: int) -> AsyncIterator[Prometheus]:
    """Run Prometheus with the settings of cluster/serving, but another target and intervals."""
    yaml = YAML(typ="safe", pure=True)
    settings = yaml.load(FOLDER / "prometheus.yml")
    settings["global"] = {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE}
    settings["rule_files"] = [str(FOLDER / name) for name in settings["rule_files"]]
    (scrape,) = settings["scrape_configs"]
    (folder / "key").write_text(KEY)
    scrape["authorization"]["credentials_file"] = str(folder / "key")
    scrape["static_configs"] = [{"targets": [f"127.0.0.1:{gateway_port}"]}]
    yaml.dump(settings, folder / "prometheus.yml")
    port = find_free_port()
    command = [
        find_tool("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "messages").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    prometheus = Prometheus(port)
    try:
        yield prometheus
    finally:
        await prometheus.client.aclose()
        process.terminate()
        process.wait(30)


async def send_requests(gateway: Gateway) -> None:
    """Send ten requests: five are answered, two of them as streams; three are refused, two fail.

    Feedback on one answer is the eleventh.
    """
    for stream in (False, False, False, True, True):
        reply = await gateway.ask(stream=stream)
        assert reply.status_code == 200
    feedback = {"request_id": reply.headers["x-request-id"], "thumb": "up"}
    assert (await gateway.client.post("/v1/feedback", json=feedback)).status_code == 200
    assert (await gateway.ask(model="a-secret-name", user="a-secret-user")).status_code == 404
    assert (await gateway.ask("word " * 1000)).status_code == 413
    assert (await gateway.ask(max_tokens=60)).status_code == 400
    gateway.engine.fails_after = 1
    for stream in (False, True):
        reply = await gateway.ask(stream=stream)
        assert reply.status_code == 503 or "broke off" in reply.text
    gateway.engine.fails_after = None


def test_prometheus_scrapes_the_gateway_and_answers_every_query_of_the_dashboard(
    tmp_path: Path, build_gateway: BuildGateway
) -> None:
    find_tool("prometheus")

    async def watch() -> None:
        hashes = {"prometheus": hashlib.sha256(KEY.encode()).digest()}
        gateway = build_gateway(hashes, body_kib=4, log_folder=str(tmp_path / "log_folder"))
        gateway.client.headers["Authorization"] = f"Bearer {KEY}"
        tests = {
            "length": {"alarm": True, "effect": 0.3},
            "language": {"alarm": False, "effect": 0.01},
        }
        comparison = {"time": time.time() - 3600, "tests": tests}
        (tmp_path / "log_folder" / DRIFT_FILE).write_text(json.dumps(comparison))
        async with serve(gateway) as port, run_prometheus(tmp_path, port) as prometheus:
            await send_requests(gateway)
            await prometheus.wait_for("sum(lockstep_requests_total) == 11")
            await send_requests(gateway)
            await prometheus.wait_for("sum(lockstep_requests_total) == 22")
            await prometheus.wait_for('ALERTS{alertname="LockstepDrift"}')
            await check_series(prometheus)
            await check_dashboard(prometheus)
            await check_rules(prometheus)
            metrics = (await gateway.client.get("/metrics")).text
        assert not re.search("a-secret|word|Where is it", metrics)

    asyncio.run(watch())


async def check_series(prometheus: Prometheus) -> None:
    counts = await prometheus.query("sum by (status) (lockstep_requests_total)")
    assert {labels["status"]: value for labels, value in counts} == {
        "200": 12, "400": 2, "404": 2, "413": 2, "503": 4,
    }  # fmt: skip
    rejects = {
        labels["limit"]: value for labels, value in await prometheus.query("lockstep_rejects_total")
    }
    assert rejects.pop("body_too_large") == rejects.pop("context_length_exceeded") == 2
    assert rejects and set(rejects.values()) == {0}
    (streams,) = await prometheus.query("lockstep_first_token_seconds_count")
    assert streams[1] == 4
    models = await prometheus.get("label/model/values", **{"match[]": "lockstep_engine_ready"})
    assert models == ["tuned"]


async def check_dashboard(prometheus: Prometheus) -> None:
    results = {place: await prometheus.query(query) for place, query in QUERIES.items()}
    for place, series in results.items():
        assert series, place
        assert all(math.isfinite(value) for _, value in series), place
        labels = set(re.findall(r"\{\{(\w+)\}\}", place[1]))
        assert all(labels <= set(names) for names, _ in series), place
    panels = {place[0] for place in QUERIES}
    (errors,) = [results[place] for place in QUERIES if "Error rate" in place[0]]
    assert errors[0][1] == pytest.approx(2 / 11)
    assert results["Alerts that fire", "{{alertname}}"] == [({"alertname": "LockstepDrift"}, 1)]
    for panel in ("Duration", "Time to first token", "Wait in the queue"):
        values = [results[panel, name][0][1] for name in ("p50", "p95", "p99")]
        assert 0 < values[0] <= values[1] <= values[2] < 10
    assert len(panels) == 18
    assert {labels["test"]: value for labels, value in results["Drift by test", "{{test}}"]} == {
        "length": 1, "language": 0,
    }  # fmt: skip
    assert 3600 <= results["Age of the comparison", "age"][0][1] < 3700


async def check_rules(prometheus: Prometheus) -> None:
    (group,) = (await prometheus.get("rules"))["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    assert [rule["name"] for rule in group["rules"] if rule["state"] == "firing"] == [
        "LockstepDrift"
    ]
