"""A sheet is byte-stable, has the chosen answers, and nothing in it tells who gave them."""

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
from tests.human.answers import answered, evaluated, new, old, params

HEADER = "item,question,answer,fluency: Does it read well?,safety: Is it free of harm?,comment"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and the predictions of three variants."""
    monkeypatch.chdir(tmp_path)
    params(tmp_path)
    evaluated(tmp_path)
    return tmp_path


def draw(out: str = "out") -> Result:
    return CliRunner().invoke(rating_sheet.main, ["evaluated", out])


def cells(path: Path) -> list[list[str]]:
    return [*csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))]


def test_writes_a_sheet_for_each_rater_and_a_project_for_label_studio(
    here: Path, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    done = draw()
    assert (done.exit_code, done.output) == (0, "out: 24 answers to 12 records\n")
    first = contents(here / "out")
    assert [*first] == ["labelling.xml", "sheet-1.csv", "sheet-2.csv", "tasks.json"]
    assert draw("again").exit_code == 0
    assert contents(here / "again") == first
    one, two = (cells(here / "out" / f"sheet-{rater}.csv")[1:] for rater in (1, 2))
    tasks = [task["data"] for task in json.loads(first["tasks.json"])]
    shown = sorted([item, question, answer] for item, question, answer, *_ in one)
    assert sorted(row[:3] for row in two) == shown
    assert sorted([task["item"], task["question"], task["answer"]] for task in tasks) == shown
    assert {row[0] for row in one} == {code(n) for n in range(12) for code in (old, new)}
    assert [row[0] for row in one] != [row[0] for row in two], "each rater has another order"
    assert all(row[3:] == ["", "", ""] for row in one)


def test_the_bytes_of_a_sheet(here: Path) -> None:
    """With a byte order mark and CR LF, as spreadsheet programs want them."""
    params(here, variants=["base"], records=2, raters=1)
    assert draw().exit_code == 0
    english, chinese = (
        f"{old(3)},Where is order 3?,It left on day 3.,,,\r\n",
        f"{old(5)},订单5在哪？,It left on day 5.,,,\r\n",
    )
    written = (here / "out" / "sheet-1.csv").read_bytes()
    assert written == f"\ufeff{HEADER}\r\n{english}{chinese}".encode()


def test_nothing_in_it_tells_a_variant_or_a_record(
    here: Path, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    params(here, variants=["base", "merged", "quantized"])
    assert draw().output == "out: 27 answers to 12 records\n", "9 of 12 are alike"
    hidden = ["base", "merged", "quantized", "evaluated", str(here), *[f"r{n}" for n in range(12)]]
    for name, data in contents(here / "out").items():
        words = data.decode().replace(":", " ").replace(",", " ").replace('"', " ").split()
        assert not set(hidden) & set(words), name
        assert b"merged" not in data and b"base" not in data and b"quantized" not in data, name


def test_the_labelling_configuration_asks_for_one_to_five_stars(here: Path) -> None:
    params(here, dimensions={"tone": 'Is it "warm" & <polite>?'})
    assert draw().exit_code == 0
    view = ElementTree.parse(here / "out" / "labelling.xml").getroot()  # noqa: S314  # our own
    (rating,) = view.iter("Rating")
    assert rating.attrib == {"name": "tone", "toName": "answer", "maxRating": "5"}
    assert 'tone: Is it "warm" & <polite>?' in [head.get("value") for head in view.iter("Header")]
    fields = {text.get("value", "").removeprefix("$") for text in view.iter("Text")}
    tasks = json.loads((here / "out" / "tasks.json").read_text("utf-8"))
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
def test_a_formula_becomes_text(cell: str, shown: str) -> None:
    assert rating_sheet.harmless(cell) == shown


@given(st.text("=+-@\t\r\n;,'\"a", max_size=8))
def test_no_cell_starts_like_a_formula_whatever_separates_cells(cell: str) -> None:
    shown = rating_sheet.harmless(cell)
    assert shown.replace("'", "") == cell.replace("'", "")
    for separator in ";\t":
        assert not any(part.startswith(("=", "+", "-", "@")) for part in shown.split(separator))


def test_a_folder_that_may_hold_ratings_stays(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "sheet-1.csv").write_text("filled")
    done = draw()
    assert (done.exit_code, (here / "out" / "sheet-1.csv").read_text()) == (2, "filled")
    assert done.output == (
        "error: out: exists, and may hold ratings; move it away or name another folder\n"
    )
    assert draw("evaluated").exit_code == 2
    assert (here / "evaluated" / "base" / "predictions.jsonl").is_file()


def test_what_gives_no_sheet_is_one_line(here: Path) -> None:
    cases = [
        ({"strata": ["tone"]}, "params.yaml: human.strata: tone is no slice of reply"),
        ({"suites": []}, "params.yaml: human.suites: none; name those whose answers people read"),
        ({"raters": 0}, "params.yaml: human.raters: input should be greater than 0, not 0"),
        ({"dimensions": {"a b": "?"}}, "params.yaml: human.dimensions.a b"),
    ]
    text = (here / "params.yaml").read_text()
    for changes, line in cases:
        name, value = next(iter(changes.items()))
        spoilt(here, text, name, value)
        done = draw()
        assert done.exit_code == 2 and done.output.startswith(f"error: {line}"), done.output
        assert done.output.count("\n") == 1
    (here / "params.yaml").write_text(text)
    predictions.write(here / "evaluated/merged/predictions.jsonl", answered()["merged"][1:])
    assert draw().output == "error: evaluated/merged: other test records than base; `dvc repro`\n"
    (here / "evaluated/merged/predictions.jsonl").unlink()
    line = "error: evaluated/merged/predictions.jsonl: not found; `dvc repro` makes it\n"
    assert draw().output == line
    assert not [*here.glob("*out*")]


def spoilt(here: Path, text: str, name: str, value: object) -> None:
    """params.yaml with another value in section human."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(text)
    values["human"][name] = value
    with (here / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
