"""A path names a file in whatever way its name is stored, a folder, a pattern or an archive."""

import bz2
import gzip
import io
import lzma
import os
import socket
import unicodedata
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from lockstep.data import source_reading
from lockstep.data.file_reading import Notes
from lockstep.errors import UserError
from tests.data.examples import make_source
from tests.data.files.reading import read, write

LINE = '{"text": "hello", "label": "greeting"}\n'


def list_origins(root: Path, path: str, **settings: str) -> list[str]:
    source = make_source("classification", path=path, **settings)
    notes = Notes()
    origins = [origin for origin, _ in source_reading.read_source(root, source, notes)]
    notes.echo()
    return origins


def make_zip(**members: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in members.items():
            is_plain = "." in name
            archive.writestr(name if is_plain else name.replace("__", "/").replace("_", "."), text)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "d/b.jsonl",
        "d/a.csv",
        "d/inner/c.JSONL",
        "d/README.md",
        "d/.hidden.jsonl",
        "e.tsv",
    ):
        text = LINE if name.lower().endswith("jsonl") else "text,label\na,b\n"
        write(tmp_path, name, text.replace(",", "\t") if name == "e.tsv" else text)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "origins"),
    [
        ("d", ["d/a.csv:2", "d/b.jsonl:1", "d/inner/c.JSONL:1"]),
        ("d/", ["d/a.csv:2", "d/b.jsonl:1", "d/inner/c.JSONL:1"]),
        ("d/*", ["d/a.csv:2", "d/b.jsonl:1"]),
        ("d/?.jsonl", ["d/b.jsonl:1"]),
        ("**/*.[jJ]*", ["d/b.jsonl:1", "d/inner/c.JSONL:1"]),
        ("e.tsv", ["e.tsv:2"]),
    ],
)
def test_files_of_a_folder_or_pattern_are_read_in_order(
    folder: Path, path: str, origins: list[str]
) -> None:
    assert list_origins(folder, path) == origins


def test_files_that_are_not_read_are_noted_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list_origins(folder, "d")
    assert capsys.readouterr().err == f"prepare: note: {folder / 'd'}: 1 not read: d/README.md\n"


def test_one_note_serves_all_files_of_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        write(tmp_path, name, "text;label\na;b\n")
    assert len(list_origins(tmp_path, "*.csv")) == 3
    assert capsys.readouterr().err == (
        f"prepare: note: {tmp_path / 'a.csv'} (and 2 more): cells are separated by ';' "
        "(guessed; delimiter sets it)\n"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("*.parquet", "no data file matches; correct path in prepare.sources"),
        ("empty/", "a folder without data files; correct path in prepare.sources"),
        ("**x/*.csv", "no glob pattern"),
        ("gone.csv", "not found; put it there or correct prepare.sources"),
    ],
)
def test_a_path_without_files_is_one_line(folder: Path, path: str, message: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(UserError) as error:
        list_origins(folder, path)
    assert message in error.value.message and "\n" not in error.value.message


@pytest.mark.parametrize("name", ["a.CSV", "a.Csv.GZ", "a.csv.bz2", "a.CSV.xz", "a.csv.ZIP"])
def test_suffixes_may_be_in_capitals_and_compressed(tmp_path: Path, name: str) -> None:
    pack = {
        ".csv": bytes,
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zip": lambda data: make_zip(inner=data.decode()),
    }[Path(name).suffix.lower()]
    write(tmp_path, name, pack(b"text,label\na,b\n"))
    assert list_origins(tmp_path, name) == [f"{name}:2"]


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_names_are_found_however_they_are_composed(tmp_path: Path, stored: str, asked: str) -> None:
    write(tmp_path, unicodedata.normalize(stored, "Überblick/é.jsonl"), LINE)
    path = unicodedata.normalize(asked, "Überblick/é.jsonl")
    assert list_origins(tmp_path, path) == [f"{path}:1"]
    assert len(list_origins(tmp_path, unicodedata.normalize(asked, "Überblick/é*"))) == 1


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "null.csv").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.csv"))
        for name in ("pipe.jsonl", "null.csv", "s.csv"):
            with pytest.raises(UserError, match=f"{name}: a pipe, socket or device; save its"):
                list_origins(tmp_path, name)


def test_a_zip_of_several_files_is_read_in_name_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_zip(
        b_jsonl=LINE,
        data__a_jsonl=LINE * 2,
        README_txt="x",
        **{"__MACOSX/b.jsonl": "x"},
        c_csv="text,label\na,b\n",
    )
    write(tmp_path, "d.zip", data)
    assert list_origins(tmp_path, "d.zip") == [
        "d.zip:b.jsonl:1", "d.zip:c.csv:2", "d.zip:data/a.jsonl:1", "d.zip:data/a.jsonl:2",
    ]  # fmt: skip
    note = f"prepare: note: {tmp_path / 'd.zip'}: 3 files of it are read, 1 others are not\n"
    assert capsys.readouterr().err == note
    assert list_origins(tmp_path, "d.zip", members="data/*") == [
            "d.zip:data/a.jsonl:1", "d.zip:data/a.jsonl:2",
        ]  # fmt: skip
    with pytest.raises(UserError, match=r"no data file in it; it contains README.txt, b.jsonl"):
        list_origins(tmp_path, "d.zip", members="x*")


def test_an_error_in_a_zip_names_the_file_inside(tmp_path: Path) -> None:
    write(tmp_path, "d.zip", make_zip(a_json="[1,]", b_json="[]"))
    with pytest.raises(UserError, match=r"d\.zip/a\.json:1: not JSON"):
        list_origins(tmp_path, "d.zip")


@pytest.mark.parametrize(
    ("path", "task"),
    [
        ("dialogues/*.jsonl", "dialogues"),
        ("part-*.parquet", "part"),
        ("train-*-of-0005.json.gz", "train"),
        ("shop/chats/", "chats"),
        ("shop/**", "shop"),
        ("**/*.json", "data"),
        ("Intents.CSV.gz", "Intents"),
        ("woz.zip", "woz"),
    ],
)
def test_the_task_is_named_after_the_fixed_part_of_a_path(path: str, task: str) -> None:
    assert make_source("text", path=path, task="").task == task


@pytest.mark.parametrize(
    ("path", "is_valid"),
    [
        ("*.gz", True),
        ("a/*", True),
        ("a/**", True),
        ("part.*", True),
        ("dialogues", True),
        ("v1.2/", True),
        ("a.XLSX", True),
        ("all.zip", True),
        ("*.docx", False),
        ("a.docx", False),
        ("a.tar.gz", False),
        ("a.gz", False),
        ("../*.csv", False),
    ],
)
def test_a_path_that_no_reader_fits_is_refused_at_once(path: str, is_valid: bool) -> None:
    if is_valid:
        assert make_source("text", path=path).path == path
    else:
        with pytest.raises(ValidationError, match=r"must (end in \.jsonl|be relative)"):
            make_source("text", path=path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.csv.gz"])
def test_a_pointer_of_git_lfs_is_named(tmp_path: Path, name: str) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    with pytest.raises(UserError, match="a pointer of Git LFS instead of the data; run git lfs"):
        read(write(tmp_path, name, pointer), "text")
