"""Metrics over many records equal those of the libraries that define them."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from lockstep.metrics import entities
from lockstep.metrics.aggregation import SumMetric
from lockstep.metrics.metric_display import DISPLAYS
from lockstep.metrics.registry import LIKELIHOOD_METRICS, METRICS
from lockstep.predictions import Prediction

OptionScores = Sequence[Mapping[str, float]]


def make_predictions(
    references: Sequence[str],
    predictions: Sequence[str],
    option_scores: OptionScores | None = None,
) -> list[Prediction]:
    """Return predictions of one task from parallel sequences."""
    return [
        Prediction(
            id=str(number), task="t", slices={}, question="", prompt="",
            reference=reference, prediction=prediction,
            option_scores=dict(option_scores[number]) if option_scores else {},
        )
        for number, (reference, prediction) in enumerate(zip(references, predictions, strict=True))
    ]  # fmt: skip


def compute(
    form: str,
    name: str,
    references: Sequence[str],
    predictions: Sequence[str],
    option_scores: OptionScores | None = None,
) -> float:
    """Return a metric of an answer form."""
    return METRICS[form][name].compute(make_predictions(references, predictions, option_scores))


def draw_labels(labels: Sequence[str], count: int, seed: int = 7) -> tuple[list[str], list[str]]:
    """Return references of unequal frequency, and predictions of which about half are right."""
    generator = random.Random(seed)
    references = [
        generator.choice(labels[: generator.randint(2, len(labels))]) for _ in range(count)
    ]
    predictions = [
        label if generator.random() < 0.5 else generator.choice(labels) for label in references
    ]
    return references, predictions


def test_metrics_equal_the_examples_of_scikit_learns_documentation() -> None:
    assert compute("choice", "accuracy", "0123", "0213") == 0.5  # accuracy_score
    pair = "012012", "021001"
    assert compute("choice", "macro_f1", *pair) == pytest.approx(0.267, abs=5e-4)
    assert compute("choice", "weighted_f1", *pair) == pytest.approx(0.267, abs=5e-4)
    assert compute("choice", "macro_precision", *pair) == pytest.approx(2 / 9)
    assert compute("choice", "macro_recall", *pair) == pytest.approx(1 / 3)


LABEL_METRICS = [
    ("macro_f1", "f1_score", "macro"),
    ("weighted_f1", "f1_score", "weighted"),
    ("macro_precision", "precision_score", "macro"),
    ("macro_recall", "recall_score", "macro"),
]


@pytest.mark.parametrize(("name", "function", "average"), LABEL_METRICS)
def test_metrics_of_labels_equal_those_of_scikit_learn(
    name: str, function: str, average: str
) -> None:
    import sklearn.metrics

    score = getattr(sklearn.metrics, function)
    for seed in range(20):
        references, predictions = draw_labels("abcdef", 30, seed)
        expected = score(references, predictions, average=average, zero_division=0)
        assert compute("choice", name, references, predictions) == pytest.approx(expected)
        assert compute("label", name, references, predictions) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "function", "average"), [*LABEL_METRICS, ("accuracy", "accuracy_score", None)]
)
def test_metrics_of_written_labels_average_over_reference_labels_only(
    name: str, function: str, average: str | None
) -> None:
    """An answer that is not a reference label is wrong but does not become a class."""
    import sklearn.metrics

    score = getattr(sklearn.metrics, function)
    for seed in range(20):
        references, predictions = draw_labels("abcd", 30, seed)
        predictions = [
            f"{label}!" if number % 7 == 0 else label for number, label in enumerate(predictions)
        ]
        options = {"average": average, "labels": sorted(set(references))} if average else {}
        expected = score(references, predictions, **options)
        with_spaces = [f" {label}\n" for label in predictions]
        assert compute("written_label", name, references, with_spaces) == pytest.approx(expected)


def test_metrics_of_label_sets_equal_those_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import MultiLabelBinarizer

    generator = random.Random(7)
    references, predictions = (
        [generator.sample("abcd", generator.randint(0, 3)) for _ in range(40)] for _ in range(2)
    )
    table = MultiLabelBinarizer().fit_transform([*references, *predictions])
    texts = [[json.dumps(sorted(labels)) for labels in side] for side in (references, predictions)]
    for average in ("micro", "macro"):
        expected = f1_score(table[:40], table[40:], average=average, zero_division=0)
        assert compute("labels", f"{average}_f1", *texts) == pytest.approx(expected)


def test_roc_auc_equals_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    references = list("abcabcabcabc")
    probabilities = np.random.default_rng(7).dirichlet([1, 1, 1], size=12)
    option_scores = [dict(zip("abc", np.log(row).tolist(), strict=True)) for row in probabilities]
    predictions = ["abc"[row.argmax()] for row in probabilities]
    expected = roc_auc_score(references, probabilities, multi_class="ovr", average="macro")
    roc_auc = compute("choice", "roc_auc", references, predictions, option_scores)
    assert roc_auc == pytest.approx(expected)
    assert math.isnan(compute("choice", "roc_auc", "aa", "aa", option_scores[:2]))


def test_calibration_error_equals_a_calculation_by_hand() -> None:
    """The confidences are 0.9 (right), 0.9 (wrong) and 0.6 (right)."""
    confident, unsure = (
        {"a": math.log(0.9), "b": math.log(0.1)},
        {"a": math.log(0.6), "b": math.log(0.4)},
    )
    error = compute("choice", "calibration_error", "aba", "aaa", [confident, confident, unsure])
    assert error == pytest.approx(2 / 3 * abs(0.5 - 0.9) + 1 / 3 * abs(1 - 0.6))


def test_fields_are_counted_over_all_records() -> None:
    references = ['{"city": "Porto", "day": 2}', '{"city": "Rome"}']
    predictions = ['{"city": "Porto", "day": 3}', "no JSON"]
    assert compute("json", "field_f1", references, predictions) == pytest.approx(2 * 1 / (3 + 2))
    assert compute("json", "exact_match", references, references) == 1
    assert compute("json", "field_f1", references, references) == 1
    assert compute("json", "valid", references, predictions) == 0.5


REFERENCES = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
PREDICTIONS = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]


@pytest.mark.parametrize("rows", [slice(0, 3), slice(1, 3)], ids=["all", "no matching 4-gram"])
def test_bleu_and_chrf_equal_those_of_sacrebleu(rows: slice) -> None:
    import sacrebleu

    references, predictions = REFERENCES[rows], PREDICTIONS[rows]
    bleu = sacrebleu.corpus_bleu(predictions, [references]).score
    chrf = sacrebleu.corpus_chrf(predictions, [references]).score
    assert 0 < bleu < 100 and 0 < chrf < 100
    assert compute("text", "bleu", references, predictions) == pytest.approx(bleu)
    assert compute("text", "chrf", references, predictions) == pytest.approx(chrf)


def test_bleu_splits_chinese_into_characters() -> None:
    # four of six characters, all n-grams match: only the brevity penalty exp(1 - 6 / 4) remains
    bleu = compute("text", "bleu", ["我要取消订单"], ["我要取消"])
    assert bleu == pytest.approx(100 * math.exp(-0.5))


def test_length_ratio_and_distinct_2_equal_a_calculation_by_hand() -> None:
    assert compute("text", "length_ratio", ["one two", "three four"], ["one", "two"]) == 0.5
    assert compute("text", "distinct_2", ["-"] * 2, ["a b a b", "a b"]) == pytest.approx(2 / 4)


NUMBERS = ["3", "-0.5", "2", "7"], ["2.5", "0.0", "2", "8"]
"""References and predictions of the example in scikit-learn's documentation of r2_score."""
NUMBER_METRICS = [
    ("mean_squared_error", "mean_squared_error"),
    ("mean_absolute_error", "mean_absolute_error"),
    ("r2", "r2_score"),
]


@pytest.mark.parametrize("form", ["number", "written_number"])
@pytest.mark.parametrize(("name", "function"), NUMBER_METRICS)
def test_metrics_of_numbers_equal_those_of_scikit_learn(
    form: str, name: str, function: str
) -> None:
    import sklearn.metrics

    references, predictions = ([float(text) for text in side] for side in NUMBERS)
    expected = getattr(sklearn.metrics, function)(references, predictions)
    assert compute(form, name, *NUMBERS) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "function"), NUMBER_METRICS)
def test_metrics_of_written_numbers_cover_only_answers_that_are_numbers(
    name: str, function: str
) -> None:
    import sklearn.metrics

    references = [*NUMBERS[0][:2], "100", *NUMBERS[0][2:], "-100"]
    predictions = [" 2.5\n", "0e0", "about 3", "+2", "8", ""]
    expected = getattr(sklearn.metrics, function)([3, -0.5, 2, 7], [2.5, 0, 2, 8])
    assert compute("written_number", name, references, predictions) == pytest.approx(expected)
    assert compute("written_number", "valid", references, predictions) == 4 / 6


def test_undefined_metrics_of_numbers_are_nan() -> None:
    for form in ("number", "written_number"):
        assert math.isnan(compute(form, "r2", ["3", "3"], ["2", "3"])), "references are equal"
        assert math.isnan(compute(form, "r2", ["3"], ["2"])), "one record has no variance"
    for name, _ in NUMBER_METRICS:
        assert math.isnan(compute("written_number", name, ["3", "4"], ["none", "nan"]))
    assert compute("written_number", "valid", ["3", "4"], ["none", "nan"]) == 0


def test_the_margin_is_the_mean_difference_of_option_scores() -> None:
    option_scores = [{"chosen": 2.0, "rejected": 1.0}, {"chosen": 0.0, "rejected": 2.0}]
    margin = compute("preference", "margin", "aa", "ab", option_scores)
    assert margin == pytest.approx(-0.5)


def test_equal_texts_are_perfect_and_empty_ones_score_0() -> None:
    texts = ["Your order is on its way.", "订单已经取消了。"]
    others = ("meteor", "distinct_2", *entities.METRICS)
    for name in [name for name in METRICS["text"] if name not in others]:
        best = 100 if name in ("bleu", "chrf") else 1
        assert compute("text", name, texts, texts) == pytest.approx(best), name
        assert compute("text", name, texts, ["", ""]) == 0, name


CALLS = [
    '{"name": "f", "arguments": {"a": 1}}',
    '[{"name": "f", "arguments": {"a": 2}}, {"name": "g", "arguments": {}}]',
    "text",
]
ANSWERS = {
    "calls": CALLS,
    "refusal": ["safe", "unsafe"],
    "rules": ['[{"rule": "contains", "text": "words"}]', '[{"rule": "json"}, {"rule": "quoted"}]'],
}
"""Answers that the metrics of an answer form can read; other forms read 1, 2 and 3."""


def test_a_label_without_a_reference_in_a_resample_is_not_a_class() -> None:
    """Most resamples contain no reference with some labels that models still predict."""
    rows = make_predictions(["a", "a", "c"], ["a", "c", "c"])
    macro_f1 = METRICS["written_label"]["macro_f1"]
    assert isinstance(macro_f1, SumMetric)
    assert macro_f1.compute(rows[:2]) == pytest.approx(2 / 3)
    assert macro_f1.bind(macro_f1.tabulate(rows))(np.array([1.0, 1.0, 0.0])) == pytest.approx(2 / 3)


def test_weighted_counts_of_many_labels_equal_those_of_scikit_learn() -> None:
    """Counts of many labels are mostly zeros and are summed as a sparse matrix."""
    from sklearn.metrics import f1_score

    generator = np.random.default_rng(5)
    references = [f"label_{number}" for number in generator.integers(0, 40, size=200)]
    predictions = [*references[:100], *generator.permutation(references[100:])]
    weights = generator.integers(0, 3, size=200)
    macro_f1 = METRICS["choice"]["macro_f1"]
    assert isinstance(macro_f1, SumMetric)
    table = macro_f1.tabulate(make_predictions(references, predictions))
    assert np.count_nonzero(table) < 0.05 * table.size
    expected = f1_score(
        np.repeat(references, weights), np.repeat(predictions, weights), average="macro"
    )
    assert macro_f1.bind(table)(weights.astype(float)) == pytest.approx(expected)


@pytest.mark.parametrize("form", METRICS)
def test_weights_of_0_and_1_give_the_metric_of_the_selected_records(form: str) -> None:
    """Metrics of slices and resamples therefore need no second pass over the records."""
    references, predictions = draw_labels(ANSWERS.get(form, "123"), 20)
    options: dict[str, Any] = {"1": -1.0, "2": -2.0, "3": -3.0, "chosen": 1.0, "rejected": 0.5}
    rows = make_predictions(references, predictions, [options] * 20)
    mask = np.arange(20) % 3 > 0
    part = [row for row, is_kept in zip(rows, mask, strict=True) if is_kept]
    for metric in METRICS[form].values():
        selected = metric.compute_table(metric.tabulate(rows)[mask])
        assert selected == pytest.approx(metric.compute(part), nan_ok=True)
        if isinstance(metric, SumMetric):
            weighted = float(metric.bind(metric.tabulate(rows))(mask.astype(float)))
            assert weighted == pytest.approx(metric.compute(part), nan_ok=True)


def test_every_metric_has_a_display() -> None:
    names = {name for metrics in METRICS.values() for name in metrics} | {*LIKELIHOOD_METRICS}
    assert names <= set(DISPLAYS)
