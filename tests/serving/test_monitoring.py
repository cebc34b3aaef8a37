"""cluster/serving: alert rules, dashboard and compose file fit the gateway and their page."""

import json
import logging
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, prometheus, stat, timeseries
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from ruamel.yaml import YAML

from lockstep.serving import grafana_dashboard
from lockstep.serving.__main__ import main as serve
from lockstep.serving.api_keys import main as make_key
from lockstep.serving.api_keys import read_keys
from lockstep.serving.drift_gauges import DRIFT_FILE
from lockstep.serving.gateway_metrics import GatewayMetrics
from lockstep.serving.logs.request_log import RequestRecord
from tests.conftest import REPOSITORY, write_params
from tests.serving.conftest import BuildGateway, find_tool

FOLDER = REPOSITORY / "cluster/serving"
DASHBOARD = FOLDER / "grafana/dashboards/lockstep.json"
PAGE = (REPOSITORY / "docs/monitoring.md").read_text(encoding="utf-8")


def load(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(FOLDER / name)


ALERTS = load("alerts.yaml")["groups"][0]["rules"]
SERVICES = load("compose.yaml")["services"]


@pytest.fixture
def exposition(build_gateway: BuildGateway, tmp_path: Path) -> str:
    """Metrics of a gateway that has answered, has a log and was compared with the training data."""
    gateway = build_gateway(log_folder=str(tmp_path / "log"))
    comparison = {"time": 0, "tests": {"length": {"alarm": True, "effect": 0.3}}}
    (tmp_path / "log" / DRIFT_FILE).write_text(json.dumps(comparison))
    metrics: GatewayMetrics = gateway.app.state.metrics
    metrics.log(
        RequestRecord(id="1", time=0, endpoint="/", answered_by="tuned", first_token_seconds=0.1)
    )
    return metrics.write().decode()


def list_samples(exposition: str) -> list[Sample]:
    families = text_string_to_metric_families(exposition)
    return [sample for family in families for sample in family.samples]


def run_promtool(*arguments: str | Path, stdin: bytes = b"") -> None:
    process = subprocess.run(
        [find_tool("promtool"), *arguments], input=stdin, capture_output=True, cwd=FOLDER
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_the_tests_of_the_alert_rules_pass() -> None:
    run_promtool("check", "config", "--syntax-only", "prometheus.yml")
    run_promtool("check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")
    run_promtool("test", "rules", "alerts_test.yaml")


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = [
        entry for test in load("alerts_test.yaml")["tests"] for entry in test["alert_rule_test"]
    ]
    for fires in (True, False):
        tested = {entry["alertname"] for entry in tests if bool(entry["exp_alerts"]) is fires}
        assert tested == {alert["alert"] for alert in ALERTS}


def test_a_rule_that_is_wrong_fails_its_tests(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "alerts_test.yaml", tmp_path)
    text = (FOLDER / "alerts.yaml").read_text()
    for old, new in (
        ("> 30\n", "> 29\n"),
        ("== 1\n", ">= 0\n"),
        ('5.."', '4.."'),
        ("> 2\n", "> 11\n"),
    ):
        assert old in text
        (tmp_path / "alerts.yaml").write_text(text.replace(old, new))
        command = [find_tool("promtool"), "test", "rules", tmp_path / "alerts_test.yaml"]
        assert subprocess.run(command, capture_output=True).returncode != 0, new


def test_each_alert_has_a_runbook() -> None:
    headings = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert headings == [alert["alert"] for alert in ALERTS]
    for alert in ALERTS:
        anchor = alert["alert"].lower()
        assert alert["annotations"]["runbook"] == f"docs/monitoring.md#{anchor}"


def test_rules_read_series_that_the_gateway_has(exposition: str) -> None:
    queries = " ".join(alert["expr"] for alert in ALERTS)
    series = {sample.name for sample in list_samples(exposition)}
    assert set(re.findall(r"\blockstep_\w+", queries)) <= series
    assert {load("prometheus.yml")["scrape_configs"][0]["job_name"]} == set(
        re.findall(r'job="(\w+)"', queries)
    )


def test_the_page_names_every_metric_and_limit(exposition: str) -> None:
    rows = " ".join(line for line in PAGE.splitlines() if line.startswith("|"))
    samples = list_samples(exposition)
    names = {re.sub(r"_(bucket|count|sum)$", "", sample.name) for sample in samples}
    names = {n for n in names if n.startswith("lockstep_") and not n.endswith("_created")}
    assert set(re.findall(r"`(lockstep_\w+)`", rows)) == names
    limits = {s.labels["limit"] for s in samples if s.name == "lockstep_rejects_total"}
    assert len(limits) > 5
    for limit in limits:
        assert f"`{limit}`" in rows


def test_names_of_metrics_follow_the_conventions_of_prometheus(exposition: str) -> None:
    run_promtool("check", "metrics", stdin=exposition.encode())


def test_the_dashboard_is_what_the_command_writes() -> None:
    result = CliRunner().invoke(grafana_dashboard.main)
    assert DASHBOARD.read_text(encoding="utf-8") == result.stdout


def test_the_dashboard_loads_in_the_model_of_grafana() -> None:
    register_default_plugins()
    values = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    board = dashboard.Dashboard.from_json(values)
    assert json.loads(JSONEncoder().encode(board)) == values
    panels = [panel for panel in board.panels or [] if isinstance(panel, dashboard.Panel)]
    assert {type(panel.options) for panel in panels} == {stat.Options, timeseries.Options}
    for panel in panels:
        assert panel.targets, panel.title
        assert all(isinstance(target, prometheus.Dataquery) for target in panel.targets)
    assert len({panel.id_val for panel in board.panels or []}) == len(board.panels or [])


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
        assert one["x"] + one["w"] <= 24


def test_docker_compose_accepts_the_file() -> None:
    plugin = ["docker", "compose"]  # some machines have docker without it
    has_plugin = shutil.which("docker") and not subprocess.call(
        [*plugin, "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    command = plugin if has_plugin else [find_tool("docker-compose")]
    process = subprocess.run(
        [*command, "--file", FOLDER / "compose.yaml", "config"], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert set(YAML(typ="safe", pure=True).load(process.stdout)["services"]) == set(SERVICES)


def test_images_are_pinned_and_ports_are_open_to_this_machine_alone() -> None:
    assert (FOLDER / SERVICES["gateway"]["build"] / "Dockerfile").resolve().is_file()
    for name, service in SERVICES.items():
        if name != "gateway":
            assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert "not run" in (FOLDER / "compose.yaml").read_text().partition("services:")[0]


def test_services_find_each_other_and_their_files() -> None:
    (scrape,) = load("prometheus.yml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["gateway:8000"]}]
    assert "gateway" in SERVICES and SERVICES["gateway"]["ports"] == ["127.0.0.1:8000:8000"]
    (source,) = load("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    mounts = dict(
        volume.removesuffix(":ro").split(":")
        for service in SERVICES.values()
        for volume in service["volumes"]
    )
    for place in mounts:
        assert not place.startswith("./") or (FOLDER / place).exists(), place
    (provider,) = load("grafana/provisioning/dashboards/lockstep.yaml")["providers"]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    settings = Path(mounts["./prometheus.yml"])
    (rules,) = load("prometheus.yml")["rule_files"]
    assert mounts["./alerts.yaml"] == str(settings.with_name(rules))


def test_secrets_are_files_that_git_ignores() -> None:
    files = {name: entry["file"] for name, entry in load("compose.yaml")["secrets"].items()}
    places = [f"cluster/serving/{file}" for file in files.values()]
    ignored = subprocess.check_output(["git", "check-ignore", *places], cwd=REPOSITORY, text=True)
    assert ignored.split() == places
    (scrape,) = load("prometheus.yml")["scrape_configs"]
    used = {
        "gateway": SERVICES["gateway"]["command"][-1],
        "prometheus": scrape["authorization"]["credentials_file"],
        "grafana": SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"],
    }
    for name, path in used.items():
        assert [path] == [f"/run/secrets/{secret}" for secret in SERVICES[name]["secrets"]]


@pytest.fixture
def served_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in a folder with params.yaml; restore what the command of the server sets."""
    write_params(tmp_path, {})
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    level = logging.getLogger("lockstep.serving").level
    yield tmp_path
    logging.getLogger("lockstep.serving").setLevel(level)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_gateway_of_the_compose_file_needs_keys(served_here: Path) -> None:
    *_, host, keys_option, _ = SERVICES["gateway"]["command"]
    assert SERVICES["gateway"]["command"] == [
        "python3", "-m", "lockstep.serving", "--host", host, keys_option, "/run/secrets/api_keys",
    ]  # fmt: skip
    keys = served_here / "keys"
    keys.write_text("# no key yet\n")
    refused = CliRunner().invoke(serve, ["--host", host, keys_option, str(keys)])
    assert refused.exit_code == 2
    assert "serving.host: 0.0.0.0 is reached from other machines" in refused.output
    keys.write_text(f"shop:{'0' * 64}\n")  # TEST-NET-1 is no address of this machine
    result = CliRunner().invoke(serve, ["--host", "192.0.2.1", keys_option, str(keys)])
    assert "cannot listen on 192.0.2.1:8000" in result.output


def test_the_first_steps_of_the_page_write_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, _, write, _ = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    folder = tmp_path / "cluster/serving/secrets"
    folder.parent.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    steps = steps.replace("python ", f"{sys.executable} ")
    shown = subprocess.check_output(
        ["sh", "-ec", steps], cwd=tmp_path, stderr=subprocess.STDOUT, text=True
    )
    files = [
        folder / Path(entry["file"]).name for entry in load("compose.yaml")["secrets"].values()
    ]
    assert sorted(folder.iterdir()) == sorted(files)
    keys, key = read_keys(str(folder / "api_keys")), (folder / "prometheus_key").read_text()
    assert keys.authenticate(f"Bearer {key}") == "prometheus"
    assert list(keys.hashes) == ["prometheus", "shop"]
    assert key not in shown and shown.startswith("key (shown once")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert write.strip().endswith(str(DASHBOARD.relative_to(REPOSITORY)))
    for file, reason in (
        (folder / "prometheus_key", "exists"),
        (tmp_path / "absent/key", "No such file or directory"),
    ):
        refused = CliRunner().invoke(make_key, ["a", "--key-file", str(file)])
        assert refused.exit_code == 2
        assert refused.output == f"error: {file}: {reason}; name a new file for the key\n"
    assert (folder / "prometheus_key").read_text() == key
