"""Files with one token per line are read sentence by sentence."""

import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from lockstep.data import source_reading
from tests.data.examples import make_source
from tests.data.files.reading import read, write

TEXT = """-DOCSTART- -X- O O

# id 7\tdomain=news
Ada NNP B-NP B-PER
ran VBD B-VP O

# NN B-NP O
Bo NNP B-NP B-PER
"""


def test_sentences_are_rows_with_tokens_and_tags(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, "a.txt", TEXT), "spans")
    pos = {"1": ["NNP", "VBD"], "2": ["B-NP", "B-VP"]}
    assert rows == [
        ("4", {"tokens": ["Ada", "ran"], **pos, "ner_tags": ["B-PER", "O"]}),
        ("7", {"tokens": ["#", "Bo"], "1": ["NN", "NNP"], "2": ["B-NP", "B-NP"],
               "ner_tags": ["O", "B-PER"]}),
    ]  # fmt: skip
    assert notes == "2 comments and separators of documents are left out"


@pytest.mark.parametrize("lines", ["a\tO\nb\n", "a\tO\n\tO\n", "a\tO\nb\tX\tO\n", "a\n"])
def test_a_sentence_with_a_wrong_line_is_rejected(tmp_path: Path, lines: str) -> None:
    rows, _ = read(write(tmp_path, "a.conll", f"{lines}\nc\tB-PER\n"), "spans")
    number = lines.count("\n") + 2
    assert rows == [
        ("1", "wrong_number_of_cells"),
        (str(number), {"tokens": ["c"], "ner_tags": ["B-PER"]}),
    ]


def test_text_files_of_an_archive_are_read_if_they_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.txt", "c\tB-PER\n")
        archive.writestr("README.md", "about")
    source = make_source("spans", path="a.zip", members="*.txt")
    ((place, row),) = source_reading.read_source(tmp_path, source)
    assert place == "a.zip:train.txt:1" and row == {"tokens": ["c"], "ner_tags": ["B-PER"]}


def test_text_files_of_a_folder_are_read_if_a_pattern_names_them(tmp_path: Path) -> None:
    write(tmp_path, "ner/a.txt", "c\tB-PER\n")
    write(tmp_path, "ner/b.jsonl", '{"tokens": ["d"], "ner_tags": ["O"]}\n')
    for path, places in (("ner", ["ner/b.jsonl:1"]), ("ner/*.txt", ["ner/a.txt:1"])):
        source = make_source("spans", path=path)
        assert [place for place, _ in source_reading.read_source(tmp_path, source)] == places


def test_text_files_of_other_formats_are_refused() -> None:
    with pytest.raises(ValidationError, match="which need format: spans"):
        make_source("text", path="a.txt")


def test_a_mark_that_all_tokens_have_is_left_out_with_a_note(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, "a.txt", "en:Ada\tB-PER\nen::\tO\n\nen:ran\tO\n"), "spans")
    assert [row["tokens"] for _, row in rows] == [["Ada", ":"], ["ran"]]
    assert notes == "all tokens have a mark, such as en:Ada; en: before them is left out"
    rows, notes = read(write(tmp_path, "b.txt", "张0\tB-PER\n三1\tI-PER\n\n20\tO\n"), "spans")
    assert [row["tokens"] for _, row in rows] == [["张", "三"], ["2"]]
    assert notes == "all tokens have a mark, such as 张0; the digit after them is left out"


@pytest.mark.parametrize(
    "tokens",
    [
        ["en:Ada", "en:ran", "off"],
        ["en:Ada", "de:ran", "en:x"],
        ["张0", "三", "来0"],
        ["10", "20", "30"],
        ["en:Ada"],
    ],
)
def test_tokens_without_a_common_mark_stay(tmp_path: Path, tokens: list[str]) -> None:
    text = "".join(f"{token}\tO\n" for token in tokens)
    ((_, row),), notes = read(write(tmp_path, "a.txt", text), "spans")
    assert row["tokens"] == tokens and notes == ""
