from typing import Any

import pytest
from lockstep.reporting.comparison import Differences

from lockstep.reporting import verdict
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference

NF4 = {"method": "nf4", "bytes_before": 1000, "bytes_after": 380}
PREPARED: dict[str, Any] = {"unlearnt_labels": {}}
TRAINED = {"rows": 100, "rows_truncated": 0, "rows_dropped": 0}


def variants(base: float, merged: float, quantized: float, **suite: Any) -> dict[str, Any]:
    """The figures of one suite, `intent`, that differ in accuracy alone."""
    return {
        name: {
            "intent": {"records": 100, "overall": {"accuracy": value}, "slices": {}, **suite},
            "perplexity": 2.0,
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
    assert verdict.headline(variants(*figures), NF4, differing()) == sentence


def test_a_headline_says_what_could_be_chance() -> None:
    assert verdict.headline(variants(0.389, 0.5, 0.611), NF4, differing(0.2, 0.05)) == (
        "Tuning lifts intent accuracy from 38.9% to 50.0% (which could be chance); "
        "4-bit gains 11.1 points (which could be chance) and saves 62% of the bytes."
    )


def test_more_bytes_are_not_called_savings() -> None:
    int8 = {"method": "int8", "bytes_before": 100, "bytes_after": 110}
    assert verdict.quantization(0, True, int8, "") == "8-bit costs nothing and takes 10% more bytes"


def differing(tuning: float = 0.001, quantization: float = 0.001) -> Differences:
    """The accuracy of intent changed in both steps, with these p."""

    def step(p: float) -> dict[str, dict[str, Difference]]:
        one = Difference(
            records=100, value=0.1, interval=Interval(0, 1), p=p, adjusted=p, detectable=0.1
        )
        return {"intent": {"accuracy": one}}

    return {"tuning": step(tuning), "quantization": step(quantization)}


def test_a_good_run_raises_no_concern() -> None:
    assert (
        verdict.concerns(variants(0.1, 1, 1, truncated=5), differing(), [], TRAINED, PREPARED) == []
    )


def test_each_concern_names_its_figures() -> None:
    parts = {"seen": {"records": 60, "accuracy": 0.9}, "unseen": {"records": 40, "accuracy": 0.4}}
    figures = variants(
        0.8,
        0.7,
        0.5,
        slices={"phrasing": parts},
        confusion={"a": {"a": 70}, "c": {"a": 30}},
        truncated=6,
    )
    log = [
        {"step": 10.0, "loss": 1.0, "validation_loss": 0.5},
        {"step": 20.0, "loss": 0.1, "validation_loss": 0.8},
    ]
    trained = {**TRAINED, "rows_dropped": 3}
    prepared = {"unlearnt_labels": {"intent": {"lost_parcel": 2, "d": 1}, "other": {"e": 9}}}
    found = verdict.concerns(figures, differing(), log, trained, prepared)
    assert found == [
        "Tuning makes intent accuracy worse: 80.0% before, 70.0% after.",
        "Quantization makes intent accuracy worse: 70.0% before, 50.0% after.",
        "Weakest slice: intent, phrasing unseen, with 40.0% accuracy on 40 records "
        "against 70.0% overall.",
        "In no training record of intent: lost parcel, d.",
        "Never right in intent: c.",
        "6 of 100 answers of intent were cut at evaluate.max_new_tokens, before the model ended "
        "them.",
        "Validation loss rises from 0.500 at step 10 to 0.800 at the end: "
        "fewer epochs may do better.",
        "3 of 100 training rows were dropped as too long.",
    ]


def test_a_loss_of_quantization_that_chance_explains_is_no_concern() -> None:
    found = differing(quantization=0.06)
    assert verdict.concerns(variants(0.1, 0.9, 0.8), found, [], TRAINED, PREPARED) == []


def test_a_slice_of_few_records_is_not_called_weak() -> None:
    parts = {"odd": {"records": 9, "accuracy": 0.0}, "even": {"records": 91, "accuracy": 0.99}}
    figures = variants(0.1, 0.9, 0.9, slices={"phrasing": parts})
    assert verdict.weakest(verdict.slices(figures)) is None


def test_slices_part_a_suite_and_stand_in_the_order_of_their_numbers() -> None:
    bands = {name: {"records": 50, "accuracy": 0.9} for name in ("1-16", "129-256", "17-128")}
    whole = {"a.csv": {"records": 100, "accuracy": 0.9}}
    figures = variants(0.1, 0.9, 0.9, slices={"length": bands, "source": whole})
    found = [(one.name, one.value) for one in verdict.slices(figures)]
    assert found == [("length", "1-16"), ("length", "17-128"), ("length", "129-256")]
