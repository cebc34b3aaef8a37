"""Figures of many answers, held against the libraries that define them."""

import json
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lockstep.metrics.aggregation import SumMetric
from lockstep.metrics.registry import METRICS
from lockstep.predictions import Prediction


def rows(want: Any, have: Any, option_scores: Any = None) -> list[Prediction]:
    return [
        Prediction(
            id=str(n), task="t", slices={}, question="", prompt="", reference=a, prediction=b,
            option_scores=option_scores[n] if option_scores else {},
        )
        for n, (a, b) in enumerate(zip(want, have, strict=True))
    ]  # fmt: skip


def figure(answer: str, name: str, want: Any, have: Any, option_scores: Any = None) -> float:
    return METRICS[answer][name].compute(rows(want, have, option_scores))


def drawn(labels: Sequence[str], count: int, seed: int = 7) -> tuple[list[str], list[str]]:
    """Expected labels, and answers of which about half are right; labels not equally often."""
    draw = random.Random(seed)
    want = [draw.choice(labels[: draw.randint(2, len(labels))]) for _ in range(count)]
    return want, [one if draw.random() < 0.5 else draw.choice(labels) for one in want]


def test_the_examples_of_scikit_learns_documentation():
    assert figure("choice", "accuracy", "0123", "0213") == 0.5  # accuracy_score
    assert figure("choice", "macro_f1", "012012", "021001") == pytest.approx(0.267, abs=5e-4)
    assert figure("choice", "weighted_f1", "012012", "021001") == pytest.approx(0.267, abs=5e-4)
    assert figure("choice", "macro_precision", "012012", "021001") == pytest.approx(2 / 9)
    assert figure("choice", "macro_recall", "012012", "021001") == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("name", "function", "average"),
    [
        ("macro_f1", "f1_score", "macro"),
        ("weighted_f1", "f1_score", "weighted"),
        ("macro_precision", "precision_score", "macro"),
        ("macro_recall", "recall_score", "macro"),
    ],
)
def test_figures_by_label_are_scikit_learns(name: str, function: str, average: str):
    import sklearn.metrics

    for seed in range(20):
        want, have = drawn("abcdef", 30, seed)
        theirs = getattr(sklearn.metrics, function)(want, have, average=average, zero_division=0)
        assert figure("choice", name, want, have) == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("name", "function", "average"),
    [
        ("accuracy", "accuracy_score", None),
        ("macro_f1", "f1_score", "macro"),
        ("weighted_f1", "f1_score", "weighted"),
        ("macro_precision", "precision_score", "macro"),
        ("macro_recall", "recall_score", "macro"),
    ],
)
def test_figures_of_written_labels_are_scikit_learns_of_those_expected(
    name: str, function: str, average: str | None
):
    """Where a model writes anything, each text of its own would be a class of no record."""
    import sklearn.metrics

    for seed in range(20):
        want, have = drawn("abcd", 30, seed)
        have = [f"{one}!" if n % 7 == 0 else one for n, one in enumerate(have)]
        more = {} if average is None else {"average": average, "labels": sorted(set(want))}
        theirs = getattr(sklearn.metrics, function)(want, have, **more)
        spaced = [f" {label}\n" for label in have]
        assert figure("written_label", name, want, spaced) == pytest.approx(theirs)


def test_figures_of_several_labels_are_scikit_learns():
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import MultiLabelBinarizer

    draw = random.Random(7)
    sets = [[draw.sample("abcd", draw.randint(0, 3)) for _ in range(40)] for _ in range(2)]
    want, have = ([json.dumps(sorted(one)) for one in side] for side in sets)
    table = MultiLabelBinarizer().fit_transform([*sets[0], *sets[1]])
    for average in ("micro", "macro"):
        theirs = f1_score(table[:40], table[40:], average=average, zero_division=0)
        assert figure("labels", f"{average}_f1", want, have) == pytest.approx(theirs)


def test_area_under_the_curve_is_scikit_learns():
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(7)
    want = list("abcabcabcabc")
    shares = draw.dirichlet([1, 1, 1], size=12)
    option_scores = [dict(zip("abc", np.log(row).tolist(), strict=True)) for row in shares]
    have = ["abc"[row.argmax()] for row in shares]
    theirs = roc_auc_score(want, shares, multi_class="ovr", average="macro")
    assert figure("choice", "roc_auc", want, have, option_scores) == pytest.approx(theirs)
    assert math.isnan(figure("choice", "roc_auc", "aa", "aa", option_scores[:2]))


def test_calibration_error_by_hand():
    """Two answers in the bin of 0.9, one of them right; one in that of 0.6, right."""
    nine, six = {"a": math.log(0.9), "b": math.log(0.1)}, {"a": math.log(0.6), "b": math.log(0.4)}
    prediction = figure("choice", "calibration_error", "aba", "aaa", [nine, nine, six])
    assert prediction == pytest.approx(2 / 3 * abs(0.5 - 0.9) + 1 / 3 * abs(1 - 0.6))


def test_fields_are_counted_over_all_answers():
    want = ['{"city": "Porto", "day": 2}', '{"city": "Rome"}']
    have = ['{"city": "Porto", "day": 3}', "no JSON"]
    assert figure("json", "field_f1", want, have) == pytest.approx(2 * 1 / (3 + 2))
    assert figure("json", "exact_match", want, want) == figure("json", "field_f1", want, want) == 1
    assert figure("json", "valid", want, have) == 0.5


WANT = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
HAVE = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]


@pytest.mark.parametrize("rows", [slice(0, 3), slice(1, 3)], ids=["all", "without four in a row"])
def test_bleu_and_chrf_are_sacrebleus(rows: slice):
    import sacrebleu

    want, have = WANT[rows], HAVE[rows]
    bleu, chrf = (f(have, [want]).score for f in (sacrebleu.corpus_bleu, sacrebleu.corpus_chrf))
    assert 0 < bleu < 100 > chrf > 0
    assert figure("text", "bleu", want, have) == pytest.approx(bleu)
    assert figure("text", "chrf", want, have) == pytest.approx(chrf)


def test_bleu_takes_chinese_by_characters():
    # four characters of six, all n-grams right: only the brevity penalty exp(1 - 6 / 4)
    prediction = figure("text", "bleu", ["我要取消订单"], ["我要取消"])
    assert prediction == pytest.approx(100 * math.exp(-0.5))


def test_lengths_and_diversity():
    assert figure("text", "length_ratio", ["one two", "three four"], ["one", "two"]) == 0.5
    assert figure("text", "distinct_2", ["-"] * 2, ["a b a b", "a b"]) == pytest.approx(2 / 4)


def test_errors_of_numbers_are_scikit_learns():
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    want, have = ["3", "-0.5", "2", "7"], ["2.5", "0.0", "2", "8"]  # r2_score, Examples
    numbers = [float(one) for one in want], [float(one) for one in have]
    assert figure("number", "mean_squared_error", want, have) == mean_squared_error(*numbers)
    assert figure("number", "mean_absolute_error", want, have) == mean_absolute_error(*numbers)
    assert figure("number", "r2", want, have) == pytest.approx(r2_score(*numbers))
    assert math.isnan(figure("number", "r2", ["3", "3"], ["2", "3"]))


def test_margin_is_the_mean_difference_of_merits():
    option_scores = [{"chosen": 2.0, "rejected": 1.0}, {"chosen": 0.0, "rejected": 2.0}]
    assert figure("preference", "margin", "aa", "ab", option_scores) == pytest.approx(-0.5)


def test_equal_texts_are_perfect_and_empty_ones_worth_nothing():
    texts = ["Your order is on its way.", "订单已经取消了。"]
    names = [name for name in METRICS["text"] if name not in ("meteor", "distinct_2")]
    for name in names:
        best = 100 if name in ("bleu", "chrf") else 1
        assert figure("text", name, texts, texts) == pytest.approx(best), name
        assert figure("text", name, texts, ["", ""]) == 0, name


CALLS = [
    '{"name": "f", "arguments": {"a": 1}}',
    '[{"name": "f", "arguments": {"a": 2}}, {"name": "g", "arguments": {}}]',
    "text",
]
LABELS = {
    "calls": CALLS,
    "refusal": ["safe", "unsafe"],
    "rules": ['[{"rule": "contains", "text": "words"}]', '[{"rule": "json"}, {"rule": "quoted"}]'],
}


def test_a_label_that_no_record_of_a_part_expects_is_no_class_of_it():
    """Most resamples lack some label of many, which models then still write."""
    own = rows(["a", "a", "c"], ["a", "c", "c"])
    metric = METRICS["written_label"]["macro_f1"]
    assert metric.compute(own[:2]) == pytest.approx(2 / 3)
    assert metric.bind(own)(np.array([1.0, 1.0, 0.0])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("answer", METRICS)
def test_figures_of_a_part_follow_from_sums_over_it(answer: str):
    """So that slices and resamples need no second look at the records."""
    want, have = drawn(LABELS.get(answer, "123"), 20)
    option_scores = [{"1": -1.0, "2": -2.0, "3": -3.0, "chosen": 1.0, "rejected": 0.5}] * 20
    mask = np.arange(20) % 3 > 0
    part = [row for row, kept in zip(rows(want, have, option_scores), mask, strict=True) if kept]
    for metric in METRICS[answer].values():
        if isinstance(metric, SumMetric):
            sums = mask.astype(float) @ metric.summands(rows(want, have, option_scores))
            assert float(metric.from_sums(sums)) == pytest.approx(metric.compute(part), nan_ok=True)
