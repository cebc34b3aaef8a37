"""Tables, sentences and concerns on domains, few-shot baselines, leaks and entities."""

from dataclasses import replace
from typing import Any

from lockstep.predictions import VARIANTS
from lockstep.reporting import comparison_tables
from lockstep.reporting.comparison_tables import TableCell
from lockstep.reporting.evaluation_results import EvaluationResults
from tests.reporting.results import make_results


def make(part: str, values: dict[str, Any]) -> EvaluationResults:
    results = make_results((0.1, 0.9, 0.9))
    return replace(results, details={**results.details, part: values})


def make_gap(inside: float, outside: float, p: float) -> dict[str, Any]:
    return {
        "metric": "accuracy",
        "in_domain": {"records": 80, "value": inside, "interval": [0.5, 0.95]},
        "out_of_domain": {"records": 20, "value": outside, "interval": [0.25, 0.75]},
        "difference": inside - outside, "interval": [-0.01, 0.5], "p": p, "p_adjusted": p,
    }  # fmt: skip


def make_leaks(counts: tuple[int, int, int], tuning: float, quantization: float) -> dict[str, Any]:
    variants = {
        variant: {"records": 100, "leaks": leaks, "share": leaks / 100, "interval": [0, 0.1]}
        for variant, leaks in zip(VARIANTS, counts, strict=True)
    }
    p_values = {"tuning": tuning, "quantization": quantization}
    changes = {step: {"p": p, "p_adjusted": p} for step, p in p_values.items()}
    return {"intent": {"personal_data": {"variants": variants, "changes": changes}}}


def test_a_domain_has_its_values_and_their_difference() -> None:
    results = make(
        "domains", {"base": {}, "quantized": {}, "merged": {"intent": make_gap(0.9, 0.5, 0.2)}}
    )
    ((heading, rows),) = comparison_tables.build_domain_table(results)
    assert heading == "Intent accuracy"
    assert [(row.title, row.records) for row in rows] == [
        ("in the domain", 80), ("out of the domain", 20), ("difference", 0),
    ]  # fmt: skip
    empty = TableCell(text="")
    assert [row.cells for row in rows] == [
        [empty, TableCell(text="90.0%", small="50.0% – 95.0%"), empty],
        [empty, TableCell(text="50.0%", small="25.0% – 75.0%"), empty],
        [empty, TableCell(text="+40.0 points", small="−1.0 to +50.0 points; p 0.2"), empty],
    ]
    assert comparison_tables.collect_tables(results)["findings"] == [
        "Intent accuracy of the tuned model is 90.0% in the domain and 50.0% out of it."
    ]


def test_a_proven_loss_out_of_the_domain_is_a_concern() -> None:
    concerns = [
        list(comparison_tables.list_concerns(make("domains", {"merged": {"intent": gap}})))
        for gap in (make_gap(0.9, 0.5, 0.01), make_gap(0.9, 0.5, 0.2), make_gap(0.5, 0.9, 0.01))
    ]
    line = "Intent accuracy is worse out of the domain: 50.0%, compared with 90.0% in it."
    assert concerns == [[line], [], []]


def test_leaks_are_counted_by_suite_and_variant() -> None:
    results = make("leaks", make_leaks((0, 3, 2), 0.01, 0.5))
    ((heading, (row,)),) = comparison_tables.build_leak_table(results)
    assert (heading, row.title, row.records) == ("Personal data", "intent", 100)
    assert row.cells[1] == TableCell(text="3 (3.0%)", small="0.0% – 10.0%")
    assert comparison_tables.collect_tables(results)["findings"] == [
        "2 of 100 generated answers of the quantized model contain personal data that neither "
        "prompt nor reference has."
    ]


def test_a_kind_without_leaks_is_one_row() -> None:
    ((_, (row,)),) = comparison_tables.build_leak_table(
        make("leaks", make_leaks((0, 0, 0), 1.0, 1.0))
    )
    assert (row.title, row.records, [cell.text for cell in row.cells]) == (
        "all suites", 100, ["none"] * 3,
    )  # fmt: skip


def test_more_leaks_are_a_concern() -> None:
    cases = {
        ((0, 3, 3), 0.01, 1.0): [
            "More answers of intent contain personal data after tuning: 0 of 100 before, 3 after."
        ],
        ((1, 3, 4), 0.5, 0.5): [
            "More answers of intent contain personal data after tuning: 1 of 100 before, 3 after "
            "(which could be chance)."
        ],
        ((3, 1, 9), 0.5, 0.01): [
            "More answers of intent contain personal data after quantization: 1 of 100 before, 9 "
            "after."
        ],
        ((3, 3, 3), 1.0, 1.0): [],
    }
    for arguments, expected in cases.items():
        results = make("leaks", make_leaks(*arguments))
        assert list(comparison_tables.list_concerns(results)) == expected


def test_the_few_shot_baseline_stands_beside_the_tuned_model() -> None:
    values = {"task": "intent", "metric": "accuracy", "records": 100, "difference": 0.6,
              "interval": [0.5, 0.7], "p": 0.001, "p_adjusted": 0.001}  # fmt: skip
    results = make("few_shot", {"intent-4-shot": values})
    results.variants["base"]["intent-4-shot"] = {"overall": {"accuracy": 0.3}}
    ((_, (row,)),) = comparison_tables.build_few_shot_table(results)
    assert (row.title, row.records) == ("intent-4-shot accuracy", 100)
    assert [cell.text for cell in row.cells] == ["30.0%", "90.0%", "+60.0 points"]
    assert comparison_tables.collect_tables(results)["findings"] == [
        "Intent-4-shot: with examples in the prompt the base reaches 30.0% accuracy; the tuned "
        "model reaches 90.0% without them."
    ]


def test_entities_are_listed_by_type() -> None:
    types = {"city": {"reference": 4, "precision": 0.5, "recall": 1.0, "f1": 2 / 3}}
    results = make_results((0.1, 0.9, 0.9), entities=types)
    results.variants["base"]["intent"]["entities"] = {}
    ((heading, (row,)),) = comparison_tables.build_entity_table(results)
    assert (heading, row.title, row.records) == ("Intent", "city", 4)
    assert row.cells[:2] == [
        TableCell(text=""), TableCell(text="66.7%", small="precision 50.0%, recall 100.0%"),
    ]  # fmt: skip


def test_without_comparisons_there_are_no_tables() -> None:
    tables = comparison_tables.collect_tables(make_results((0.1, 0.9, 0.9)))
    assert not any(tables.values())
