"""Downloads from a local server: complete, verified, and continued after a kill."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import MODEL, REVISION, TOKEN, Hub, make_environment

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
SHARD_BYTES = 12 * 2**20  # more than the 10 MB that huggingface_hub reads before it writes any


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
        SHARDS[0]: b"1" * SHARD_BYTES,
        SHARDS[1]: b"2" * SHARD_BYTES,
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
except UserError as error:
    error.show()
    sys.exit(error.exit_code)
from huggingface_hub import constants
print("offline again:", constants.HF_HUB_OFFLINE)
"""


class Client:
    """Downloads in a process of its own, offline except for the download, as under `dvc repro`."""

    def __init__(self, tmp_path: Path, url: str) -> None:
        self.root, self.output = tmp_path / "root", tmp_path / "into"
        self.environment = {
            **make_environment(url, tmp_path / "home"),
            "DVC_ROOT": str(self.root),
        }

    def start(self, *options: str, model_id: str = MODEL) -> subprocess.Popen[str]:
        self.output.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, model_id, REVISION, self.output, *options],
            cwd=Path(__file__).parents[2],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def succeed(self) -> None:
        """Download and assert that it succeeds."""
        process = self.start()
        out, error = process.communicate(timeout=30)
        assert process.returncode == 0, error
        assert out == "offline again: True\n"

    def fail(self, *options: str, model_id: str = MODEL) -> str:
        """Download, assert that it fails, and return its one line of error message."""
        process = self.start(*options, model_id=model_id)
        _, error = process.communicate(timeout=30)
        assert process.returncode == 2, error
        assert not any(self.output.iterdir())
        lines = [line for line in error.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert "Traceback" not in error
        return lines[0]

    def list_scratch_files(self) -> list[Path]:
        """Return the files that wait for the end of the download."""
        return [path for path in (self.root / ".scratch" / "base").rglob("*") if path.is_file()]


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return Client(tmp_path, hub.url)


def test_weights_config_tokenizer_and_terms_are_downloaded_and_nothing_else(
    hub: Hub, client: Client
):
    hub.files |= {"README.md": b"card", "LICENSE.txt": b"terms"}
    expected = dict(hub.files)
    others = ("pytorch_model.bin", "modeling_x.py", "notes.md", "consolidated.safetensors")
    hub.files |= dict.fromkeys((*others, "onnx/model.safetensors"), b"x")
    client.succeed()
    assert {path.name: path.read_bytes() for path in client.output.iterdir()} == expected
    assert {name for _, name, _ in hub.requests} == set(expected)
    assert client.list_scratch_files() == []


def test_the_token_is_sent_but_never_written(hub: Hub, client: Client, tmp_path: Path):
    hub.faults = {SHARDS[1]: ["503"]}
    client.fail()
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert client.list_scratch_files()
    for path in tmp_path.rglob("*"):
        assert TOKEN not in path.name
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_download_continues_after_a_broken_connection(hub: Hub, client: Client):
    hub.faults = {SHARDS[0]: ["break"]}
    client.succeed()
    first, second = hub.list_ranges(SHARDS[0])
    assert first is None
    assert second == f"bytes={10 * 2**20}-"
    assert (client.output / SHARDS[0]).read_bytes() == hub.files[SHARDS[0]]


def test_finished_files_are_not_downloaded_again(hub: Hub, client: Client):
    hub.faults = {SHARDS[1]: ["503"]}
    assert "answered 503; run again, finished files are kept" in client.fail()
    client.succeed()
    assert len(hub.list_ranges(SHARDS[0])) == len(hub.list_ranges("tokenizer.json")) == 1
    assert len(hub.list_ranges(SHARDS[1])) == 2
    assert client.list_scratch_files() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_continues(hub: Hub, client: Client, number: int):
    hub.faults = {SHARDS[1]: ["stall"]}
    process = client.start()
    assert hub.stalled.wait(20)
    start = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=5)
    assert time.monotonic() - start < 5  # the server still holds the connection
    client.fail("refuse")
    assert not [path for path in client.list_scratch_files() if path.name.endswith(".incomplete")]
    client.succeed()
    assert len(hub.list_ranges(SHARDS[0])) == 1
    assert client.list_scratch_files() == []


def test_a_model_that_the_check_refuses_is_not_downloaded_again(hub: Hub, client: Client):
    assert "the check refused" in client.fail("refuse")
    client.succeed()
    assert len(hub.list_ranges(SHARDS[0])) == len(hub.list_ranges(SHARDS[1])) == 1


@pytest.mark.parametrize("name", ["tokenizer.json", SHARDS[1]])
def test_a_file_with_another_hash_is_an_error(hub: Hub, client: Client, name: str):
    hub.faults = {name: ["corrupt"]}
    assert f"{name}: its hash is not the one on the hub; run again" in client.fail()
    client.succeed()
    assert (client.output / name).read_bytes() == hub.files[name]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ((404, "RepoNotFound"), "no such model"),
        ((404, "RevisionNotFound"), "no such revision"),
        ((401, ""), "no access (401), or no such model; set HF_TOKEN"),
        ((403, ""), "no access (403), or no such model; set HF_TOKEN"),
        ((403, "GatedRepo"), "the model is gated; accept its terms"),
        ((500, ""), "answered 500; run again"),
    ],
)
def test_an_error_status_of_the_hub_is_one_line(
    hub: Hub, client: Client, error: tuple[int, str], message: str
):
    hub.error = error
    line = client.fail()
    assert line.startswith(f"error: {MODEL}@{REVISION[:12]}: ")
    assert message in line


def test_the_error_for_gated_files_is_one_line(hub: Hub, client: Client):
    hub.gated = True
    assert "the model is gated; accept its terms" in client.fail()


def test_the_error_for_a_page_instead_of_the_hub_is_one_line(hub: Hub, client: Client):
    hub.portal = True
    assert f"{hub.url} does not answer as a hub; check HF_ENDPOINT or the proxy" in client.fail()


def test_the_error_without_a_network_is_one_line(client: Client):
    client.environment["HF_ENDPOINT"] = "http://127.0.0.1:1"
    assert "no connection to http://127.0.0.1:1; check the network" in client.fail()


def test_the_error_for_an_invalid_model_id_is_one_line(client: Client):
    assert "not a model id" in client.fail(model_id="../../etc/passwd")


@pytest.mark.parametrize(
    ("missing", "added", "message"),
    [
        ("model.safetensors.index.json", "pytorch_model.bin", "only pickled weights"),
        ("model.safetensors.index.json", "README.md", "but no model.safetensors"),
        ("tokenizer.json", "README.md", "no tokenizer.json or tokenizer.model"),
        ("config.json", "README.md", "no config.json"),
    ],
)
def test_an_incomplete_repository_is_an_error_before_any_download(
    hub: Hub, client: Client, missing: str, added: str, message: str
):
    del hub.files[missing]
    hub.files[added] = b"x"
    assert message in client.fail()
    assert hub.requests == []


def test_an_index_that_names_an_unlisted_shard_is_an_error(hub: Hub, client: Client):
    del hub.files[SHARDS[1]]
    assert f"names '{SHARDS[1]}', which is missing" in client.fail()
    assert hub.list_ranges(SHARDS[0]) == []


def test_a_model_larger_than_the_disk_is_an_error_before_its_download(hub: Hub, client: Client):
    hub.claimed = {SHARDS[0]: 10**18}
    assert "the download needs 1000000000.0 GB and the disk has" in client.fail()
    assert hub.list_ranges(SHARDS[0]) == []
