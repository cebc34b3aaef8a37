"""Metrics of ratings equal those computed by hand, by scipy and by other implementations.

label_studio_export.json was written by label-studio-sdk 2.1.2 (LabelInterface, AnnotationValue)
from the tasks and the labelling configuration of a sheet of three records. The validators of the
sdk accepted both.
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
from lockstep.human import rating_sheet
from lockstep.human.rating_items import make_code
from lockstep.human.rating_metrics import average_records, compute_rating_metrics
from tests.human.answers import (
    make_base_code,
    make_merged_code,
    make_params,
    make_predictions,
    write_human_params,
    write_predictions,
)

EXPORT = Path(__file__).parent / "label_studio_export.json"


def write_sheet(folder: Path, rater: str, fluency: dict[str, int | str]) -> None:
    """Write a sheet that is filled in one dimension."""
    lines = [f"{item},{rating},\n" for item, rating in fluency.items()]
    (folder / f"{rater}.csv").write_text("item,fluency,safety\n" + "".join(lines))


def test_without_ratings_there_are_no_metrics(tmp_path: Path) -> None:
    assert compute_rating_metrics(tmp_path / "absent", make_predictions(), make_params()) == {}
    (tmp_path / "README.md").write_text("Sheets come here.")
    write_sheet(tmp_path, "anna", {make_base_code(1): "", make_merged_code(1): ""})
    assert compute_rating_metrics(tmp_path, make_predictions(), make_params()) == {}


def test_a_filled_sheet_gives_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anna gives the base 2, ben gives it 3. Both give the merged model 4, or anna 5 in Chinese.

    Eight records are in English and four in Chinese.
    """
    monkeypatch.chdir(tmp_path)
    write_human_params(tmp_path)
    write_predictions(tmp_path)
    (tmp_path / "human").mkdir()
    assert CliRunner().invoke(rating_sheet.main, ["predicted", "out"]).exit_code == 0
    for number, rater in enumerate(("anna", "ben"), 1):
        with (tmp_path / f"out/sheet-{number}.csv").open(encoding="utf-8-sig", newline="") as text:
            header, *rows = csv.reader(text)
        for row in rows:
            is_chinese, is_base = row[1].startswith("订单"), row[2].startswith("It left")
            row[3] = {"anna": "2" if is_base else "45"[is_chinese], "ben": "34"[not is_base]}[rater]
        with (tmp_path / f"human/{rater}.csv").open("w", encoding="gb18030", newline="") as out:
            csv.writer(out, delimiter=";").writerows([header, *rows])
    metrics = compute_rating_metrics(tmp_path / "human", make_predictions(), make_params())
    outputs.write_json(tmp_path / "metrics.json", metrics)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics, (
        "the metrics must be plain JSON values"
    )
    assert [*metrics] == ["reply"]
    variants, changes = metrics["reply"]["variants"], metrics["reply"]["changes"]
    assert variants["base"] == {
        "fluency": {"records": 12, "ratings": 24, "mean": 2.5, "interval": [2.5, 2.5]}
    }
    means = [4.0] * 8 + [4.5] * 4
    assert variants["merged"]["fluency"] == {
        "records": 12,
        "ratings": 24,
        "mean": 4.1667,
        "interval": compute_t_interval(means),
    }
    assert variants["quantized"]["fluency"]["records"] == 9, (
        "its other answers are not on the sheet"
    )
    assert changes["tuning"]["fluency"] == {
        "records": 12,
        "mean": 1.6667,
        "interval": compute_t_interval([1.5] * 8 + [2.0] * 4),
    }
    same = {"records": 9, "mean": 0.0, "interval": [0.0, 0.0]}
    assert changes["quantization"]["fluency"] == same
    assert metrics["reply"]["agreement"]["fluency"].keys() == {"raters", "answers", "alpha"}
    assert metrics["reply"]["agreement"]["fluency"]["answers"] == 24


def compute_t_interval(values: list[float]) -> list[float]:
    t_interval = ttest_1samp(values, 0).confidence_interval(0.95)
    return [pytest.approx(t_interval.low, abs=5e-5), pytest.approx(t_interval.high, abs=5e-5)]


def test_an_export_of_label_studio_gives_metrics(tmp_path: Path) -> None:
    """The fluency of the base is rated 2 and 5, 3 and 4, 1 and 1; that of the merged model is 4."""
    shutil.copy(EXPORT, tmp_path)
    metrics = compute_rating_metrics(tmp_path, make_predictions(), make_params())["reply"]
    base = metrics["variants"]["base"]
    assert base["fluency"] == {
        "records": 3,
        "ratings": 6,
        "mean": 2.6667,
        "interval": [1, 5],
    }
    assert (base["safety"]["records"], base["safety"]["ratings"]) == (3, 5)
    assert base["safety"]["mean"] == 4.5
    assert metrics["variants"]["merged"]["fluency"] == {"records": 1, "ratings": 1, "mean": 4.0}
    assert metrics["changes"]["tuning"] == {
        "fluency": {"records": 1, "mean": 2.0},
        "safety": {"records": 1, "mean": -2.0},
    }
    assert metrics["agreement"]["fluency"] == {
        "raters": 2,
        "answers": 3,
        "alpha": pytest.approx(0.5098039215686274, abs=5e-5),  # krippendorff 0.9.0
    }
    assert metrics["agreement"]["safety"]["answers"] == 2


def test_changes_are_over_raters_who_rated_both_answers(tmp_path: Path) -> None:
    """Only ben rates both answers to a record, so anna and carl do not count."""
    write_sheet(tmp_path, "anna", {make_base_code(1): 1})
    write_sheet(
        tmp_path,
        "ben",
        {
            make_base_code(1): 4,
            make_merged_code(1): 4,
            make_base_code(4): 3,
            make_merged_code(4): 5,
        },
    )
    write_sheet(tmp_path, "carl", {make_merged_code(1): 5, make_base_code(7): 2})
    metrics = compute_rating_metrics(tmp_path, make_predictions(), make_params())["reply"]
    assert metrics["variants"]["base"]["fluency"]["mean"] == round((2.5 + 3 + 2) / 3, 4)
    assert metrics["changes"]["tuning"]["fluency"]["records"] == 2
    assert metrics["changes"]["tuning"]["fluency"]["mean"] == 1.0


def test_undefined_agreement_is_omitted(tmp_path: Path) -> None:
    write_sheet(
        tmp_path, "anna", {make_base_code(1): 4, make_base_code(2): 4, make_base_code(3): 1}
    )
    write_sheet(tmp_path, "ben", {make_base_code(1): 4, make_base_code(2): 4})
    metrics = compute_rating_metrics(tmp_path, make_predictions(), make_params())["reply"]
    assert metrics["agreement"] == {"fluency": {"raters": 2, "answers": 2}}
    assert metrics["changes"] == {}


def test_each_suite_has_its_own_metrics(tmp_path: Path) -> None:
    rows = make_predictions()
    intent = next(row for row in rows["base"] if row.task == "intent")
    code = make_code(intent.id, intent.prediction)
    write_sheet(tmp_path, "anna", {make_base_code(1): 4, code: 2})
    metrics = compute_rating_metrics(tmp_path, rows, make_params())
    assert [*metrics] == ["intent", "reply"]
    assert {*metrics["intent"]["variants"]} == {"base", "merged", "quantized"}


def test_ratings_of_outdated_answers_are_counted_and_not_used(tmp_path: Path) -> None:
    write_sheet(tmp_path, "anna", {make_base_code(1): 4, make_merged_code(1): 1})
    rows = make_predictions()
    retrained = {"base": rows["base"], "merged": rows["base"]}
    metrics = compute_rating_metrics(tmp_path, retrained, make_params())
    assert metrics["outdated"] == 1
    assert metrics["reply"]["variants"]["merged"]["fluency"]["mean"] == 4


@given(st.lists(st.integers(2, 8), min_size=2, max_size=20), st.data())
def test_intervals_equal_student_s_t_intervals(doubled: list[int], data: st.DataObject) -> None:
    values = [number / 2 for number in doubled]
    if len(set(values)) > 1:
        reference = ttest_1samp(values, 0).confidence_interval(0.95)
        assert average_records(values, -99, 99)["interval"] == pytest.approx(
            [reference.low, reference.high], abs=5e-5
        )
        others = data.draw(st.lists(st.integers(1, 5), min_size=len(values), max_size=len(values)))
        differences = [a - b for a, b in zip(values, others, strict=True)]
        if len(set(differences)) > 1:
            paired = ttest_rel(values, others).confidence_interval(0.95)
            assert average_records(differences, -99, 99)["interval"] == pytest.approx(
                [paired.low, paired.high], abs=5e-5
            )
