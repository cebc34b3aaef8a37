"""The stage prepare reads a data set of the hub, which it downloads once."""

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from ruamel.yaml import YAML

from lockstep import records
from tests.hub_server import DATA_SET, REVISION, Hub, make_environment

REPOSITORY = Path(__file__).parents[2]
RIVERS = ["Rhine", "Elbe", "Oder", "Danube", "Main", "Neckar", "Weser", "Spree", "Isar", "Inn"]


def write_parquet(rivers: list[str]) -> bytes:
    table = pyarrow.table(
        {"question": [f"Where is the {name}?" for name in rivers], "country": rivers}
    )
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        server.files = {
            "README.md": b"",
            "rivers/train-00000-of-00002.parquet": write_parquet(RIVERS[:4]),
            "rivers/train-00001-of-00002.parquet": write_parquet(RIVERS[4:]),
            "rivers/test-00000-of-00001.parquet": write_parquet(["Seine", "Loire"]),
        }
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


STAGE = "stages.prepare", "raw", "prepared"


def run(
    hub: Hub, folder: Path, *sources: dict[str, Any], command: tuple[str, ...] = STAGE
) -> subprocess.CompletedProcess[str]:
    values = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text("utf-8"))
    values["prepare"] |= {"sources": [*sources], "clean": [], "split": {"method": "quota",
        "validation": 0.2, "test": 0.0}}  # fmt: skip
    (folder / "params.yaml").write_text(json.dumps(values))
    (folder / "raw").mkdir(exist_ok=True)
    environment = make_environment(hub.url, folder / "home")
    environment.pop("DVC_STAGE", None)
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder, env={**environment, "PYTHONPATH": str(REPOSITORY), "DVC_ROOT": str(folder)},
        capture_output=True, text=True,
    )  # fmt: skip


SOURCE = {
    "hub": f"{DATA_SET}@{REVISION}",
    "hub_config": "rivers",
    "format": "prompt_completion",
    "columns": {"prompt": "question", "completion": "country"},
}


def test_the_splits_of_a_data_set_are_sources(hub: Hub, tmp_path: Path) -> None:
    sources = SOURCE, {**SOURCE, "hub_split": "test", "split": "test"}
    process = run(hub, tmp_path, *sources)
    assert process.returncode == 0, process.stderr
    by_split = {
        split: [record.answer for record in records.read(tmp_path / f"prepared/{split}.jsonl")]
        for split in ("train", "validation", "test")
    }
    assert sorted(by_split["train"] + by_split["validation"]) == sorted(RIVERS)
    assert by_split["test"] == ["Seine", "Loire"]
    record = next(records.read(tmp_path / "prepared/test.jsonl"))
    assert record.task == "data"
    assert record.source == f"{DATA_SET}@{REVISION}#rivers#test"
    assert record.origin == (f"{DATA_SET}@{REVISION}/rivers/test-00000-of-00001.parquet:row 1")
    assert len(hub.list_ranges("rivers/train-00000-of-00002.parquet")) == 1
    hub.error = (500, "")
    assert run(hub, tmp_path, *sources).returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hub": "team/data@main"}, "must be owner/name@revision with all 40 digits"),
        ({"path": "a.csv"}, "name path or hub, one of them"),
        ({"hub_split": "dev"}, "no split dev; it has "),
        ({"hub_config": "lakes"}, "no config lakes; it has rivers"),
    ],
)
def test_a_mistake_is_one_line(
    change: dict[str, Any], message: str, hub: Hub, tmp_path: Path
) -> None:
    process = run(hub, tmp_path, {**SOURCE, **change})
    assert process.returncode == 2
    assert message in process.stderr
    assert len(process.stderr.splitlines()) == 1


def test_a_missing_data_set_is_one_line(hub: Hub, tmp_path: Path) -> None:
    hub.error = (404, "RepoNotFound")
    process = run(hub, tmp_path, SOURCE)
    assert process.returncode == 2
    assert "no such dataset" in process.stderr


def test_the_preview_shows_a_data_set(hub: Hub, tmp_path: Path) -> None:
    module = "lockstep.data_preview"
    process = run(hub, tmp_path, SOURCE, command=(module, "raw", "--number", "2"))
    assert process.returncode == 0, process.stderr
    assert "  user: Where is the Elbe?\n  assistant: Elbe\n" in process.stdout
    assert process.stdout.endswith("looked at 2 rows of 1 source: 2 records, 0 rejected\n")
