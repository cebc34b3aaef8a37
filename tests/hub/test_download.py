import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import MODEL, REVISION, TOKEN, Hub, environment

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
BIG = 12 * 2**20  # above the 10 MB that huggingface_hub reads before it writes any


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    server.files = {
        "config.json": b"{}",
        "generation_config.json": b"{}",
        "tokenizer.json": b'{"version": "1.0"}',
        "tokenizer_config.json": b"{}",
        "model.safetensors.index.json": json.dumps(
            {"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}
        ).encode(),
        SHARDS[0]: b"1" * BIG,
        SHARDS[1]: b"2" * BIG,
    }
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()


DRIVER = """
import sys
from pathlib import Path
from lockstep.hub.download import download_model
from lockstep.errors import UserError

def check(folder):
    if sys.argv[4:] == ["refuse"]:
        raise UserError("the check refused")

try:
    download_model(sys.argv[1], sys.argv[2], Path(sys.argv[3]), check)
except UserError as refusal:
    refusal.show()
    sys.exit(refusal.exit_code)
from huggingface_hub import constants
print("offline again:", constants.HF_HUB_OFFLINE)
"""


class Station:
    """A process of its own that downloads, as under `dvc repro`: offline but for the download."""

    def __init__(self, tmp_path: Path, url: str) -> None:
        self.root, self.into = tmp_path / "root", tmp_path / "into"
        self.environment = {
            **environment(url, tmp_path / "home"),
            "DVC_ROOT": str(self.root),
        }

    def start(self, *more: str, model_id: str = MODEL) -> subprocess.Popen[str]:
        self.into.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, model_id, REVISION, self.into, *more],
            cwd=Path(__file__).parents[2],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def succeed(self) -> None:
        process = self.start()
        out, error = process.communicate(timeout=30)
        assert process.returncode == 0, error
        assert out == "offline again: True\n"

    def fail(self, *more: str, model_id: str = MODEL) -> str:
        """The one line with which the download ends."""
        process = self.start(*more, model_id=model_id)
        _, error = process.communicate(timeout=30)
        assert process.returncode == 2, error
        assert not any(self.into.iterdir())
        lines = [line for line in error.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert "Traceback" not in error
        return lines[0]

    def scratch(self) -> list[Path]:
        return [path for path in (self.root / ".scratch" / "base").rglob("*") if path.is_file()]


@pytest.fixture
def station(hub: Hub, tmp_path: Path) -> Station:
    return Station(tmp_path, hub.url)


def test_brings_weights_config_and_tokenizer_and_asks_for_nothing_else(hub: Hub, station: Station):
    wanted = dict(hub.files)
    unwanted = ("pytorch_model.bin", "modeling_x.py", "README.md", "consolidated.safetensors")
    hub.files |= dict.fromkeys((*unwanted, "onnx/model.safetensors"), b"x")
    station.succeed()
    assert {path.name: path.read_bytes() for path in station.into.iterdir()} == wanted
    assert {name for _, name, _ in hub.asked} == set(wanted)
    assert station.scratch() == []


def test_the_token_is_sent_and_written_nowhere(hub: Hub, station: Station, tmp_path: Path):
    hub.faults = {SHARDS[1]: ["503"]}
    station.fail()
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert station.scratch()
    for path in tmp_path.rglob("*"):
        assert TOKEN not in path.name
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_broken_connection_is_taken_up_where_it_broke(hub: Hub, station: Station):
    hub.faults = {SHARDS[0]: ["break"]}
    station.succeed()
    first, second = hub.gets(SHARDS[0])
    assert first is None
    assert second == f"bytes={10 * 2**20}-"
    assert (station.into / SHARDS[0]).read_bytes() == hub.files[SHARDS[0]]


def test_finished_files_are_not_fetched_again(hub: Hub, station: Station):
    hub.faults = {SHARDS[1]: ["503"]}
    assert "answered 503; run again, finished files are kept" in station.fail()
    station.succeed()
    assert len(hub.gets(SHARDS[0])) == len(hub.gets("tokenizer.json")) == 1
    assert len(hub.gets(SHARDS[1])) == 2
    assert station.scratch() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_continues(hub: Hub, station: Station, number: int):
    hub.faults = {SHARDS[1]: ["stall"]}
    process = station.start()
    assert hub.stalled.wait(20)
    started = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=5)
    assert time.monotonic() - started < 5  # the server still holds the connection
    station.fail("refuse")
    assert not [path for path in station.scratch() if path.name.endswith(".incomplete")]
    station.succeed()
    assert len(hub.gets(SHARDS[0])) == 1
    assert station.scratch() == []


def test_what_the_check_refuses_is_kept_but_not_brought(hub: Hub, station: Station):
    assert "the check refused" in station.fail("refuse")
    station.succeed()
    assert len(hub.gets(SHARDS[0])) == len(hub.gets(SHARDS[1])) == 1


@pytest.mark.parametrize("name", ["tokenizer.json", SHARDS[1]])
def test_bytes_that_are_not_the_listed_ones_are_refused(hub: Hub, station: Station, name: str):
    hub.faults = {name: ["spoil"]}
    assert f"{name}: its hash is not the one on the hub; run again" in station.fail()
    station.succeed()
    assert (station.into / name).read_bytes() == hub.files[name]


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((404, "RepoNotFound"), "no such model"),
        ((404, "RevisionNotFound"), "no such revision"),
        ((401, ""), "no access (401), or no such model; set HF_TOKEN"),
        ((403, ""), "no access (403), or no such model; set HF_TOKEN"),
        ((403, "GatedRepo"), "the model is gated; accept its terms"),
        ((500, ""), "answered 500; run again"),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    hub: Hub, station: Station, refusal: tuple[int, str], message: str
):
    hub.refusal = refusal
    line = station.fail()
    assert line.startswith(f"error: {MODEL}@{REVISION[:12]}: ")
    assert message in line


def test_files_behind_a_gate_are_one_line(hub: Hub, station: Station):
    hub.gated = True
    assert "the model is gated; accept its terms" in station.fail()


def test_a_page_in_place_of_the_hub_is_one_line(hub: Hub, station: Station):
    hub.portal = True
    assert f"{hub.url} does not answer as a hub; check HF_ENDPOINT or the proxy" in station.fail()


def test_no_network_is_one_line(station: Station):
    station.environment["HF_ENDPOINT"] = "http://127.0.0.1:1"
    assert "no connection to http://127.0.0.1:1; check the network" in station.fail()


def test_a_model_id_that_is_none_is_one_line(station: Station):
    assert "not a model id" in station.fail(model_id="../../etc/passwd")


@pytest.mark.parametrize(
    ("missing", "added", "message"),
    [
        ("model.safetensors.index.json", "pytorch_model.bin", "only pickled weights"),
        ("model.safetensors.index.json", "README.md", "but no model.safetensors"),
        ("tokenizer.json", "README.md", "no tokenizer.json or tokenizer.model"),
        ("config.json", "README.md", "no config.json"),
    ],
)
def test_a_repository_that_is_no_base_is_refused_before_any_download(
    hub: Hub, station: Station, missing: str, added: str, message: str
):
    del hub.files[missing]
    hub.files[added] = b"x"
    assert message in station.fail()
    assert hub.asked == []


def test_a_shard_that_the_index_names_must_be_listed(hub: Hub, station: Station):
    del hub.files[SHARDS[1]]
    assert f"names '{SHARDS[1]}', which is missing" in station.fail()
    assert hub.gets(SHARDS[0]) == []


def test_a_model_larger_than_the_disk_is_refused_before_its_download(hub: Hub, station: Station):
    hub.claimed = {SHARDS[0]: 10**18}
    assert "the download needs 1000000000.0 GB and the disk has" in station.fail()
    assert hub.gets(SHARDS[0]) == []
