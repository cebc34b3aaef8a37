from typing import Any

import pytest

from stages.pages import verdict
from stages.pages.results import Prediction

NF4 = {"method": "nf4", "bytes_before": 1000, "bytes_after": 380}
TRAINED = {"rows": 100, "rows_truncated": 0, "rows_dropped": 0}


def variants(base: float, merged: float, quantized: float, **suite: Any) -> dict[str, Any]:
    """The figures of one suite, `intent`, that differ in accuracy alone."""
    return {
        name: {
            "intent": {"records": 100, "overall": {"accuracy": value}, "slices": {}, **suite},
            "perplexity": 2.0,
            "unscored": 0,
        }
        for name, value in zip(
            ("base", "merged", "quantized"), (base, merged, quantized), strict=True
        )
    }


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        (
            (0.12, 0.913, 0.909),
            "Tuning lifts intent accuracy from 12.0% to 91.3%; "
            "4-bit costs 0.4 points and saves 62% of the bytes.",
        ),
        (
            (0.913, 0.88, 0.89),
            "Tuning lowers intent accuracy from 91.3% to 88.0%; "
            "4-bit gains 1 points and saves 62% of the bytes.",
        ),
        (
            (0.9, 0.9, 0.9),
            "Tuning leaves intent accuracy at 90.0%; "
            "4-bit costs nothing and saves 62% of the bytes.",
        ),
    ],
)
def test_headline(figures: tuple[float, float, float], sentence: str) -> None:
    rows = answers("a", 100, quantized="b")
    assert verdict.headline(variants(*figures), NF4, rows) == sentence


def test_a_headline_of_few_answers_says_that_it_could_be_chance() -> None:
    rows = answers("a", 5, quantized="b")
    assert verdict.headline(variants(0.389, 0.5, 0.611), NF4, rows) == (
        "Tuning lifts intent accuracy from 38.9% to 50.0% (which could be chance); "
        "4-bit gains 11.1 points (which could be chance) and saves 62% of the bytes."
    )


def test_more_bytes_are_not_called_savings() -> None:
    int8 = {"method": "int8", "bytes_before": 100, "bytes_after": 110}
    assert verdict.quantization(0, True, int8, "") == "8-bit costs nothing and takes 10% more bytes"


def answers(expected: str, number: int, **got: str) -> list[Prediction]:
    answers = {"base": "b", "merged": "a", "quantized": "a"} | got
    return [
        Prediction(
            id=f"{expected}{index}",
            task="intent",
            slices={},
            question="?",
            expected=expected,
            got=answers,
            scores={name: float(answer == expected) for name, answer in answers.items()},
        )
        for index in range(number)
    ]


def test_a_good_run_raises_no_concern() -> None:
    assert verdict.concerns(variants(0.1, 1, 1), answers("a", 100), [], TRAINED) == []


def test_each_concern_names_its_figures() -> None:
    parts = {"seen": {"records": 60, "accuracy": 0.9}, "unseen": {"records": 40, "accuracy": 0.4}}
    figures = variants(
        0.8, 0.7, 0.5, slices={"phrasing": parts}, confusion={"a": {"a": 70}, "c": {"a": 30}}
    )
    rows = answers("a", 80, quantized="b") + answers("b", 20)
    log = [
        {"step": 10.0, "loss": 1.0, "validation_loss": 0.5},
        {"step": 20.0, "loss": 0.1, "validation_loss": 0.8},
    ]
    trained = {**TRAINED, "rows_dropped": 3}
    found = verdict.concerns(figures, rows, log, trained)
    assert found == [
        "Tuning makes intent accuracy worse: 80.0% before, 70.0% after.",
        "Quantization makes 80 of 100 intent answers worse and 0 better: "
        "more than chance explains.",
        "Weakest slice: intent, phrasing unseen, with 40.0% accuracy on 40 records "
        "against 70.0% overall.",
        "Never right in intent: c.",
        "Validation loss rises from 0.500 at step 10 to 0.800 at the end: "
        "fewer epochs may do better.",
        "3 of 100 training rows were dropped as too long.",
    ]


def test_a_slice_of_few_records_is_not_called_weak() -> None:
    parts = {"odd": {"records": 9, "accuracy": 0.0}, "even": {"records": 91, "accuracy": 0.99}}
    figures = variants(0.1, 0.9, 0.9, slices={"phrasing": parts})
    assert verdict.weakest(verdict.slices(figures)) is None
