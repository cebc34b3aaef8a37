"""label_studio_export.json was written by label-studio-sdk 2.1.2 (LabelInterface, AnnotationValue)
from the tasks and the labelling configuration of a sheet of three records; its validators accepted
both.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_rel

from lockstep import outputs
from lockstep.human import rating_sheet, ratings
from tests.human.answers import answered, evaluated, new, old, params, settings

EXPORT = Path(__file__).parent / "label_studio_export.json"


def rated(folder: Path, rater: str, fluency: dict[str, int | str]) -> None:
    """A sheet filled by hand, in one dimension."""
    lines = [f"{item},{rating},\n" for item, rating in fluency.items()]
    (folder / f"{rater}.csv").write_text("item,fluency,safety\n" + "".join(lines))


def test_nothing_rated_gives_no_figures(tmp_path: Path) -> None:
    assert ratings.figures(tmp_path / "absent", answered(), settings()) == {}
    (tmp_path / "README.md").write_text("Sheets come here.")
    rated(tmp_path, "anna", {old(1): "", new(1): ""})
    assert ratings.figures(tmp_path, answered(), settings()) == {}


def test_a_drawn_sheet_comes_back_as_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight English and four Chinese records, anna rates the base 2 and ben 3; the merged model
    4, but anna 5 in Chinese."""
    monkeypatch.chdir(tmp_path)
    params(tmp_path)
    evaluated(tmp_path)
    (tmp_path / "human").mkdir()
    assert CliRunner().invoke(rating_sheet.main, ["evaluated", "out"]).exit_code == 0
    for number, rater in enumerate(("anna", "ben"), 1):
        with (tmp_path / f"out/sheet-{number}.csv").open(encoding="utf-8-sig", newline="") as text:
            header, *rows = csv.reader(text)
        for row in rows:
            chinese, before = row[1].startswith("订单"), row[2].startswith("It left")
            row[3] = {"anna": "2" if before else "45"[chinese], "ben": "34"[not before]}[rater]
        with (tmp_path / f"human/{rater}.csv").open("w", encoding="gb18030", newline="") as out:
            csv.writer(out, delimiter=";").writerows([header, *rows])
    figures = ratings.figures(tmp_path / "human", answered(), settings())
    outputs.write_json(tmp_path / "figures.json", figures)
    assert json.loads((tmp_path / "figures.json").read_text()) == figures, "plain JSON"
    assert [*figures] == ["reply"]
    variants, changes = figures["reply"]["variants"], figures["reply"]["changes"]
    assert variants["base"] == {
        "fluency": {"records": 12, "ratings": 24, "mean": 2.5, "interval": [2.5, 2.5]}
    }
    means = [4.0] * 8 + [4.5] * 4
    assert variants["merged"]["fluency"] == {
        "records": 12,
        "ratings": 24,
        "mean": 4.1667,
        "interval": interval(means),
    }
    assert variants["quantized"]["fluency"]["records"] == 9, "where it answers like the merged one"
    assert changes["tuning"]["fluency"] == {
        "records": 12,
        "mean": 1.6667,
        "interval": interval([1.5] * 8 + [2.0] * 4),
    }
    same = {"records": 9, "mean": 0.0, "interval": [0.0, 0.0]}
    assert changes["quantization"]["fluency"] == same
    assert figures["reply"]["agreement"]["fluency"].keys() == {"raters", "answers", "alpha"}
    assert figures["reply"]["agreement"]["fluency"]["answers"] == 24


def interval(values: list[float]) -> list[float]:
    found = ttest_1samp(values, 0).confidence_interval(0.95)
    return [pytest.approx(found.low, abs=5e-5), pytest.approx(found.high, abs=5e-5)]


def test_an_export_of_label_studio_gives_figures(tmp_path: Path) -> None:
    """Fluency of the base: 2 and 5, 3 and 4, 1 and 1; of the merged model: 4, where 11 gave 2."""
    shutil.copy(EXPORT, tmp_path)
    found = ratings.figures(tmp_path, answered(), settings())["reply"]
    base = found["variants"]["base"]
    assert base["fluency"] == {
        "records": 3,
        "ratings": 6,
        "mean": 2.6667,
        "interval": [1, 5],
    }
    assert (base["safety"]["records"], base["safety"]["ratings"]) == (3, 5)
    assert base["safety"]["mean"] == 4.5
    assert found["variants"]["merged"]["fluency"] == {"records": 1, "ratings": 1, "mean": 4.0}
    assert found["changes"]["tuning"] == {
        "fluency": {"records": 1, "mean": 2.0},
        "safety": {"records": 1, "mean": -2.0},
    }
    assert found["agreement"]["fluency"] == {
        "raters": 2,
        "answers": 3,
        "alpha": pytest.approx(0.5098039215686274, abs=5e-5),  # krippendorff 0.9.0
    }
    assert found["agreement"]["safety"]["answers"] == 2


def test_raters_of_both_answers_alone_say_what_changed(tmp_path: Path) -> None:
    """Strict anna rates the base alone, mild carl the merged model alone; ben finds them alike."""
    rated(tmp_path, "anna", {old(1): 1})
    rated(tmp_path, "ben", {old(1): 4, new(1): 4, old(4): 3, new(4): 5})
    rated(tmp_path, "carl", {new(1): 5, old(7): 2})
    found = ratings.figures(tmp_path, answered(), settings())["reply"]
    assert found["variants"]["base"]["fluency"]["mean"] == round((2.5 + 3 + 2) / 3, 4)
    assert found["changes"]["tuning"]["fluency"]["records"] == 2
    assert found["changes"]["tuning"]["fluency"]["mean"] == 1.0


def test_agreement_is_left_out_where_it_is_not_defined(tmp_path: Path) -> None:
    rated(tmp_path, "anna", {old(1): 4, old(2): 4, old(3): 1})
    rated(tmp_path, "ben", {old(1): 4, old(2): 4})
    found = ratings.figures(tmp_path, answered(), settings())["reply"]
    assert found["agreement"] == {"fluency": {"raters": 2, "answers": 2}}
    assert found["changes"] == {}


def test_suites_have_figures_of_their_own(tmp_path: Path) -> None:
    rows = answered()
    intent = next(row for row in rows["base"] if row.task == "intent")
    code = ratings.rating_items.code(intent.id, intent.prediction)
    rated(tmp_path, "anna", {old(1): 4, code: 2})
    found = ratings.figures(tmp_path, rows, settings())
    assert [*found] == ["intent", "reply"]
    assert {*found["intent"]["variants"]} == {"base", "merged", "quantized"}


def test_ratings_of_an_earlier_model_s_answers_are_counted_and_not_used(tmp_path: Path) -> None:
    rated(tmp_path, "anna", {old(1): 4, new(1): 1})
    rows = answered()
    trained_again = {"base": rows["base"], "merged": rows["base"]}
    found = ratings.figures(tmp_path, trained_again, settings())
    assert found["outdated"] == 1
    assert found["reply"]["variants"]["merged"]["fluency"]["mean"] == 4


@given(st.lists(st.integers(2, 8), min_size=2, max_size=20), st.data())
def test_intervals_are_those_of_student_s_test(doubled: list[int], data: st.DataObject) -> None:
    values = [number / 2 for number in doubled]
    if len(set(values)) > 1:
        reference = ttest_1samp(values, 0).confidence_interval(0.95)
        assert ratings.mean(values, -99, 99)["interval"] == pytest.approx(
            [reference.low, reference.high], abs=5e-5
        )
        others = data.draw(st.lists(st.integers(1, 5), min_size=len(values), max_size=len(values)))
        differences = [a - b for a, b in zip(values, others, strict=True)]
        if len(set(differences)) > 1:
            paired = ttest_rel(values, others).confidence_interval(0.95)
            assert ratings.mean(differences, -99, 99)["interval"] == pytest.approx(
                [paired.low, paired.high], abs=5e-5
            )
