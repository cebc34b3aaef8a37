"""Scores in reports/scores.jsonl give the metrics and tests of the predictions themselves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from lockstep.metrics.suite_metrics import build_measured_suites, group_by_suite
from lockstep.predictions import VARIANTS, Prediction
from lockstep.statistics import record_scores
from lockstep.statistics.paired_tests import compute_differences, compute_intervals

ANSWERS = {
    "choice": ["yes", "no", "maybe"],
    "written_label": ["yes", "no", "a text\nof its own"],
    "labels": ['["a"]', '["a","b"]', "[]"],
    "json": ['{"a": 1, "b": 2}', '{"a": 1}', "none"],
    "text": ["Hello, how can I help?", "Hello, can I help?", "no"],
    "number": ["1.5", "2", "4"],
}
"""Answer form -> answers of which the records have references and predictions."""


def make_predictions(records: int = 30) -> dict[str, list[Prediction]]:
    """Return predictions of all variants, which differ, on records of each answer form."""
    return {
        variant: [
            Prediction(
                id=f"{form}{n:x}", task=form, slices={"parity": str(n % 2)}, question=f"{n}?",
                prompt="", answer_form=form, reference=answers[n % 2],
                prediction=answers[(n * (place + 1) + n // 7) % 3],
                option_scores=dict.fromkeys(answers, 0.5), loss=0.1 * n / (place + 1), tokens=3,
            )
            for form, answers in ANSWERS.items()
            for n in range(records)
        ]
        for place, variant in enumerate(VARIANTS)
    }  # fmt: skip


def store(tmp_path: Path, predictions: dict[str, list[Prediction]]) -> record_scores.StoredScores:
    suites = build_measured_suites(predictions["merged"], {}, {})
    record_scores.write_scores(tmp_path / "scores.jsonl", predictions, suites)
    return record_scores.read_scores((tmp_path / "scores.jsonl").read_text("utf-8"))


def test_stored_records_have_the_metrics_intervals_and_tests_of_the_predictions(
    tmp_path: Path,
) -> None:
    predictions = make_predictions()
    stored = store(tmp_path, predictions).suites
    suites = build_measured_suites(predictions["merged"], {}, {})
    base = {group.task: group.predictions for group in group_by_suite(predictions["base"], suites)}
    left_out = set()
    for group in group_by_suite(predictions["merged"], suites):
        suite = stored[group.task]
        left_out |= group.metrics.keys() - suite.metrics.keys()
        order = {row.id: row for row in group.predictions}
        rows = [order[record.id] for record in suite.records["merged"]]
        before = {row.id: row for row in base[group.task]}
        earlier = [before[row.id] for row in rows]
        metrics = {name: group.metrics[name] for name in suite.metrics}
        intervals = compute_intervals(metrics, rows, seed=1)
        differences = compute_differences(metrics, earlier, rows, seed=1)
        assert len(metrics) >= 2 and differences
        restored = compute_intervals(suite.metrics, suite.records["merged"], seed=1)
        tests = compute_differences(
            suite.metrics, suite.records["base"], suite.records["merged"], seed=1
        )
        for name in intervals:
            assert restored[name].low == pytest.approx(intervals[name].low, rel=1e-4)
            assert restored[name].high == pytest.approx(intervals[name].high, rel=1e-4)
        for name in differences:
            assert tests[name].value == pytest.approx(differences[name].value, rel=1e-3, abs=1e-6)
            assert tests[name].p == pytest.approx(differences[name].p, abs=2e-3)
    assert left_out == {"roc_auc", "calibration_error", "bleu", "chrf"}


def test_stored_labels_have_the_f1_of_scikit_learn(tmp_path: Path) -> None:
    suite = store(tmp_path, make_predictions()).suites["choice"]
    rows = suite.records["quantized"]
    expected = f1_score([r.reference for r in rows], [r.prediction for r in rows], average="macro")
    assert suite.metrics["macro_f1"].compute(rows) == pytest.approx(expected)


def test_bytes_are_stable_and_a_record_is_a_line(tmp_path: Path) -> None:
    predictions = make_predictions(records=3)
    store(tmp_path, predictions)
    text = (tmp_path / "scores.jsonl").read_text("utf-8")
    lines = text.splitlines()
    assert len(lines) == len(ANSWERS) * (1 + 3) + (1 + 3 * len(ANSWERS)), "likelihoods follow"
    changed = {
        variant: [
            replace(row, prediction="yes") if row.id == "choice1" else row for row in reversed(rows)
        ]
        for variant, rows in predictions.items()
    }
    store(tmp_path, changed)
    other = (tmp_path / "scores.jsonl").read_text("utf-8").splitlines()
    differing = {old[:10] for old, new in zip(lines, other, strict=True) if old != new}
    assert differing == {'["choice1"'}, "the order of the predictions does not matter"


def test_scores_above_the_limit_are_replaced_by_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = make_predictions(records=10)
    store(tmp_path, predictions)
    size = (tmp_path / "scores.jsonl").stat().st_size
    monkeypatch.setattr(record_scores, "MAX_BYTES", size)
    assert store(tmp_path, predictions).suites, "a file of the maximum size is written"
    monkeypatch.setattr(record_scores, "MAX_BYTES", size - 1)
    reason = f"the scores take {size:,} bytes, more than the limit of {size - 1:,}"
    assert store(tmp_path, predictions) == ({}, reason)
    assert json.loads((tmp_path / "scores.jsonl").read_text()) == {"omitted": reason}
