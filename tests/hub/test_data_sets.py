"""A split of a data set on the hub is found as the library datasets finds it, and fetched once."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.hub import data_sets
from tests.hub_server import DATA_SET, REVISION, Hub, make_environment

ROOT = Path(__file__).parents[2]

CARD = """---
license: mit
configs:
- config_name: en
  data_files:
  - split: train
    path: english/train-*
  - split: validation
    path: [english/dev-a.parquet, english/dev-b.parquet]
- config_name: de
  data_files: german/*.jsonl
---
# Rivers
"""
FILES = {
    "README.md": CARD.encode(),
    "english/train-00000-of-00002.parquet": b"PAR1 first",
    "english/train-00001-of-00002.parquet": b"PAR1 second",
    "english/dev-a.parquet": b"PAR1 a",
    "english/dev-b.parquet": b"PAR1 b",
    "german/fluss.jsonl": b"{}",
    "photo.jpg": b"JPG",
}
DRIVER = """
import sys
from pathlib import PurePath
from lockstep.errors import UserError
from lockstep.hub.data_sets import resolve_data_set

def is_readable(name):
    return PurePath(name).suffix in (".parquet", ".jsonl")

try:
    for _, path in resolve_data_set(*sys.argv[1:], is_readable):
        print(path)
except UserError as error:
    sys.exit(str(error.message))
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        server.files = dict(FILES)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def resolve(hub: Hub, folder: Path, config: str, split: str) -> subprocess.CompletedProcess[str]:
    environment = {**make_environment(hub.url, folder / "home"), "DVC_ROOT": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", DRIVER, f"{DATA_SET}@{REVISION}", config, split],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip


def find(names: dict[str, bytes], folder: Path, config: str = "", split: str = "train") -> list:
    card = folder / "README.md"
    if "README.md" in names:
        card.write_bytes(names["README.md"])
    readable = [name for name in names if not name.endswith((".md", ".jpg"))]
    return data_sets.find_split_files(readable, card, config, split, "team/data")


def test_a_split_is_downloaded_once_and_then_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / ".scratch" / "data_sets" / f"team--data@{REVISION}"
    expected = ["english/train-00000-of-00002.parquet", "english/train-00001-of-00002.parquet"]
    first = resolve(hub, tmp_path, "en", "train")
    assert first.stdout.split() == [str(folder / name) for name in expected], first.stderr
    assert [(folder / name).read_bytes() for name in expected] == [b"PAR1 first", b"PAR1 second"]
    hub.error = (500, "")
    assert resolve(hub, tmp_path, "en", "train").stdout == first.stdout
    assert not (folder / "english/dev-a.parquet").exists()
    assert "answered 500" in resolve(hub, tmp_path, "en", "validation").stderr


def test_a_process_lists_a_split_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = f"{DATA_SET}@{REVISION}"
    folder = tmp_path / ".scratch" / "data_sets" / reference.replace("/", "--")
    folder.mkdir(parents=True)
    listed = {"size": 2, "sha256": None, "blob": None}
    (folder / ".listing.json").write_text(json.dumps({"train.jsonl": listed}))
    (folder / "train.jsonl").write_text("{}")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    first = data_sets.resolve_data_set(reference, "", "train", bool)
    assert first == [(f"{reference}/train.jsonl", folder / "train.jsonl")]
    (folder / ".listing.json").unlink()  # which would be fetched again from the hub
    assert data_sets.resolve_data_set(reference, "", "train", bool) == first


def test_a_damaged_file_is_refused_and_fetched_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults = {"english/dev-b.parquet": ["corrupt"]}
    process = resolve(hub, tmp_path, "en", "validation")
    assert process.returncode == 1
    assert "dev-b.parquet: its hash is not the one on the hub" in process.stderr
    assert not list(tmp_path.rglob("data_sets/*/english/dev-b.parquet"))
    process = resolve(hub, tmp_path, "en", "validation")
    assert [Path(line).read_bytes() for line in process.stdout.split()] == [b"PAR1 a", b"PAR1 b"]


def test_an_unknown_data_set_is_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.error = (404, "RepoNotFound")
    assert "no such dataset" in resolve(hub, tmp_path, "", "train").stderr
    for reference in ("team/data", "team/data@main", f"data@{REVISION}"):
        with pytest.raises(UserError, match="not a data set; write owner/name@revision"):
            data_sets.resolve_data_set(reference, "", "train", bool)


def test_the_card_names_configs_and_the_files_of_splits(tmp_path: Path) -> None:
    assert find(FILES, tmp_path, "de") == ["german/fluss.jsonl"]
    assert find(FILES, tmp_path, "en", "validation") == [
        "english/dev-a.parquet", "english/dev-b.parquet",
    ]  # fmt: skip
    with pytest.raises(UserError, match="it has the configs en, de: name one by config"):
        find(FILES, tmp_path)
    with pytest.raises(UserError, match="no config fr; it has en, de"):
        find(FILES, tmp_path, "fr")
    with pytest.raises(UserError, match="no split test; it has train, validation"):
        find(FILES, tmp_path, "en", "test")


def test_the_config_that_the_card_marks_is_the_default(tmp_path: Path) -> None:
    card = CARD.replace("- config_name: de\n", "- config_name: de\n  default: true\n")
    files = {**FILES, "README.md": card.encode()}
    assert find(files, tmp_path) == ["german/fluss.jsonl"]


@pytest.mark.parametrize(
    ("names", "config", "split", "expected"),
    [
        (["train.csv", "test.csv"], "", "test", ["test.csv"]),
        (["anything.csv"], "", "train", ["anything.csv"]),
        (["data/train-00000-of-00001.parquet"], "", "train", ["data/train-00000-of-00001.parquet"]),
        (["en/train/0.parquet", "de/train/0.parquet"], "de", "train", ["de/train/0.parquet"]),
        (["dev.jsonl", "train.jsonl"], "", "validation", ["dev.jsonl"]),
    ],
)  # fmt: skip
def test_without_a_card_the_names_of_the_files_decide(
    names: list[str], config: str, split: str, expected: list[str], tmp_path: Path
) -> None:
    """The layouts are those that the documentation of the library datasets describes."""
    assert find(dict.fromkeys(names, b""), tmp_path, config, split) == expected


def test_a_data_set_without_readable_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of its files can be read"):
        find({"photo.jpg": b""}, tmp_path)


def test_a_card_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    card = b"---\nconfigs:\n- data_files: x\n---\n"
    with pytest.raises(UserError, match=r"README.md: .*config_name"):
        find({"README.md": card, "a.csv": b""}, tmp_path)
