"""A sheet is byte-stable, has the sampled answers, and reveals no variant."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from lockstep import predictions
from lockstep.human import rating_sheet
from tests.human.answers import (
    make_base_code,
    make_merged_code,
    make_predictions,
    write_human_params,
    write_predictions,
)

HEADER = "item,question,answer,fluency: Does it read well?,safety: Is it free of harm?,comment"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and the predictions of three variants."""
    monkeypatch.chdir(tmp_path)
    write_human_params(tmp_path)
    write_predictions(tmp_path)
    return tmp_path


def run_command(out: str = "out") -> Result:
    return CliRunner().invoke(rating_sheet.main, ["predicted", out])


def read_cells(path: Path) -> list[list[str]]:
    return [*csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))]


def test_a_sheet_for_each_rater_and_a_project_for_label_studio_are_written(
    workspace: Path, read_folder: Callable[[Path], dict[str, bytes]]
) -> None:
    result = run_command()
    assert (result.exit_code, result.output) == (0, "out: 24 answers to 12 records\n")
    first = read_folder(workspace / "out")
    assert [*first] == ["labelling.xml", "sheet-1.csv", "sheet-2.csv", "tasks.json"]
    assert run_command("again").exit_code == 0
    assert read_folder(workspace / "again") == first
    one, two = (read_cells(workspace / "out" / f"sheet-{rater}.csv")[1:] for rater in (1, 2))
    tasks = [task["data"] for task in json.loads(first["tasks.json"])]
    shown = sorted([item, question, answer] for item, question, answer, *_ in one)
    assert sorted(row[:3] for row in two) == shown
    assert sorted([task["item"], task["question"], task["answer"]] for task in tasks) == shown
    assert {row[0] for row in one} == {
        code(n) for n in range(12) for code in (make_base_code, make_merged_code)
    }
    assert [row[0] for row in one] != [row[0] for row in two], "each rater has another order"
    assert all(row[3:] == ["", "", ""] for row in one)


def test_a_sheet_has_a_byte_order_mark_and_crlf_line_ends(workspace: Path) -> None:
    """The sheet has a byte order mark and CR LF, as spreadsheet programs want them."""
    write_human_params(workspace, variants=["base"], records=2, raters=1)
    assert run_command().exit_code == 0
    english, chinese = (
        f"{make_base_code(3)},Where is order 3?,It left on day 3.,,,\r\n",
        f"{make_base_code(5)},订单5在哪？,It left on day 5.,,,\r\n",
    )
    written = (workspace / "out" / "sheet-1.csv").read_bytes()
    assert written == f"\ufeff{HEADER}\r\n{english}{chinese}".encode()


def test_no_file_reveals_a_variant_or_a_record(
    workspace: Path, read_folder: Callable[[Path], dict[str, bytes]]
) -> None:
    write_human_params(workspace, variants=["base", "merged", "quantized"])
    assert run_command().output == "out: 27 answers to 12 records\n", (
        "merged and quantized agree on 9 of 12"
    )
    hidden = [
        "base",
        "merged",
        "quantized",
        "predicted",
        str(workspace),
        *[f"r{n}" for n in range(12)],
    ]
    for name, data in read_folder(workspace / "out").items():
        words = data.decode().replace(":", " ").replace(",", " ").replace('"', " ").split()
        assert not set(hidden) & set(words), name
        assert b"merged" not in data and b"base" not in data and b"quantized" not in data, name


def test_the_labelling_configuration_asks_for_one_to_five_stars(workspace: Path) -> None:
    write_human_params(workspace, dimensions={"tone": 'Is it "warm" & <polite>?'})
    assert run_command().exit_code == 0
    view = ElementTree.parse(workspace / "out" / "labelling.xml").getroot()  # noqa: S314  # our own
    (rating,) = view.iter("Rating")
    assert rating.attrib == {"name": "tone", "toName": "answer", "maxRating": "5"}
    assert 'tone: Is it "warm" & <polite>?' in [head.get("value") for head in view.iter("Header")]
    fields = {text.get("value", "").removeprefix("$") for text in view.iter("Text")}
    tasks = json.loads((workspace / "out" / "tasks.json").read_text("utf-8"))
    assert fields | {"item"} == set(tasks[0]["data"])


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("＝1", "'＝1"),
        ("Hi;=1+1", "Hi;'=1+1"),
        ("Hi\n=1+1", "Hi\n'=1+1"),
        ("Either:\n- a\n- b", "Either:\n- a\n- b"),
        ("1 - 1 = 0 @ home", "1 - 1 = 0 @ home"),
        ("订单在哪？", "订单在哪？"),
        ("", ""),
    ],
)
def test_a_formula_is_escaped(cell: str, shown: str) -> None:
    assert rating_sheet.escape_formulas(cell) == shown


@given(st.text("=+-@\t\r\n;,'\"a", max_size=8))
def test_no_cell_starts_like_a_formula_with_any_separator(cell: str) -> None:
    shown = rating_sheet.escape_formulas(cell)
    assert shown.replace("'", "") == cell.replace("'", "")
    for separator in ";\t":
        assert not any(part.startswith(("=", "+", "-", "@")) for part in shown.split(separator))


def test_an_existing_folder_is_not_overwritten(workspace: Path) -> None:
    (workspace / "out").mkdir()
    (workspace / "out" / "sheet-1.csv").write_text("filled")
    result = run_command()
    assert (result.exit_code, (workspace / "out" / "sheet-1.csv").read_text()) == (2, "filled")
    assert result.output == (
        "error: out: exists, and may hold ratings; move it away or name another folder\n"
    )
    assert run_command("predicted").exit_code == 2
    assert (workspace / "predicted" / "base" / "predictions.jsonl").is_file()


def test_a_mistake_is_one_line(workspace: Path) -> None:
    cases = [
        ({"strata": ["tone"]}, "params.yaml: human.strata: tone is no slice of reply"),
        ({"suites": ["dpo"]}, "params.yaml: human.suites: no suite dpo; known: intent, reply"),
        ({"raters": 0}, "params.yaml: human.raters: input should be greater than 0, not 0"),
        ({"dimensions": {"a b": "?"}}, "params.yaml: human.dimensions.a b"),
    ]
    text = (workspace / "params.yaml").read_text()
    for changes, line in cases:
        name, value = next(iter(changes.items()))
        write_changed_params(workspace, text, name, value)
        result = run_command()
        assert result.exit_code == 2 and result.output.startswith(f"error: {line}"), result.output
        assert result.output.count("\n") == 1
    (workspace / "params.yaml").write_text(text)
    predictions.write(
        workspace / "predicted/merged/predictions.jsonl", make_predictions()["merged"][1:]
    )
    assert (
        run_command().output
        == "error: predicted/merged: not the same test records as base; run `dvc repro`\n"
    )
    (workspace / "predicted/merged/predictions.jsonl").unlink()
    line = "error: predicted/merged/predictions.jsonl: not found; run `dvc repro`\n"
    assert run_command().output == line
    assert not [*workspace.glob("*out*")]


def write_changed_params(workspace: Path, text: str, name: str, value: object) -> None:
    """Write params.yaml with another value in section human."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(text)
    values["human"][name] = value
    with (workspace / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
