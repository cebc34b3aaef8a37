"""Metrics of entities: seqeval's published example, counts by hand, and the forms of answers."""

import json
from collections import Counter
from typing import Any

import pytest

from lockstep.metrics import entities
from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite, compute_metrics
from lockstep.predictions import Prediction
from lockstep.statistics.details import compute_entity_metrics


def make_predictions(pairs: list[tuple[str, str]], form: str = "json") -> list[Prediction]:
    return [
        Prediction(id=str(n), task="t", slices={}, question="", prompt="", answer_form=form,
                   reference=reference, prediction=prediction)
        for n, (reference, prediction) in enumerate(pairs)
    ]  # fmt: skip


def compute(pairs: list[tuple[str, str]], form: str = "json") -> dict[str, float]:
    rows = make_predictions(pairs, form)
    return {name: METRICS[form][name].compute(rows) for name in entities.METRICS}


SEQEVAL = [
    ("a b c <MISC>d e f</MISC> g", "a b <MISC>c d e f</MISC> g"),
    ("<PER>John Smith</PER> left", "<PER>John Smith</PER> left"),
]
"""The example of seqeval's README, y_true and y_pred, with words for its tokens."""


def test_metrics_equal_seqevals_published_example() -> None:
    """Its report has 0.00 for MISC, 1.00 for PER, and 0.50 for all averages; support is 1 and 1."""
    assert compute(SEQEVAL, "text") == dict.fromkeys(entities.METRICS, 0.5)
    by_type = compute_entity_metrics(entities.summarize_types(make_predictions(SEQEVAL)))
    shown = {
        name: [values[key] for key in ("precision", "recall", "f1", "reference")]
        for name, values in by_type.items()
    }
    assert shown == {"MISC": [0.0, 0.0, 0.0, 1], "PER": [1.0, 1.0, 1.0, 1]}


def test_metrics_of_objects_by_hand() -> None:
    """Types: city 2 right of 3 expected and 2 predicted, order 0 of 1 and 1, name 0 of 0 and 1."""
    pairs = [
        ({"city": ["Rome", "Bonn"], "order": "12"}, {"city": ["Bonn", "Rome"], "order": "13"}),
        ({"city": "Oslo"}, {"name": "Oslo"}),
    ]
    values = compute([(json.dumps(a), json.dumps(b)) for a, b in pairs])
    assert values == pytest.approx(
        {
            "entity_f1": 2 * 2 / (4 + 4),
            "entity_precision": 2 / 4,
            "entity_recall": 2 / 4,
            "entity_macro_f1": (2 * 2 / 5 + 0 + 0) / 3,
            "entity_macro_precision": (1 + 0 + 0) / 3,
            "entity_macro_recall": (2 / 3 + 0 + 0) / 3,
        }
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"city": ["Rome", "Bonn", "Rome"]}', {("city", "Rome", 0): 2, ("city", "Bonn", 0): 1}),
        ('{"city": null, "name": "", "order": [], "size": {}}', {}),
        ('{"item": [{"name": "cup"}, {"name": "pot"}]}',
         {("item/name", "cup", 0): 1, ("item/name", "pot", 0): 1}),
        ('```json\n{"city": "Rome"}\n```', {("city", "Rome", 0): 1}),
        ('["Rome"]', {}),
        ('{"city": "Rome"', {}),
        ("No entity, 1 < 2 > 0.", {}),
        ("<地名>北京</地名>很大", {("地名", "北京", 0): 1}),
        ("Al, <per>Al</per>", {("per", "Al", 1): 1}),
        ("<org>Bank of <loc>Rome</loc></org>",
         {("loc", "Rome", 0): 1, ("org", "Bank of Rome", 0): 1}),
        ("<per>Al <loc>Rome</per>", {("per", "Al Rome", 0): 1}),
        ("<per> Al </per>, <per></per>", {("per", "Al", 0): 1}),
    ],
)  # fmt: skip
def test_entities_are_found_in_objects_and_tagged_text(
    answer: str, expected: dict[entities.Entity, int]
) -> None:
    assert entities.find_entities(answer) == Counter(expected)


def test_equal_texts_are_told_apart_by_their_place() -> None:
    pairs = [("Al saw <per>Al</per>", "<per>Al</per> saw Al")]
    assert compute(pairs, "text")["entity_f1"] == 0.0


def test_metrics_are_undefined_without_entities() -> None:
    values = compute([("Hello.", "Hello!")], "text")
    assert all(value != value for value in values.values())


@pytest.mark.parametrize(("name", "has_types"), [("entity_macro_f1", True), ("field_f1", False)])
def test_types_are_listed_where_a_metric_of_entities_is_named(name: str, has_types: bool) -> None:
    rows = make_predictions([('{"city": "Rome"}', '{"city": "Bonn"}')])
    suite = MeasuredSuite(task="t", form="json", metrics={name: METRICS["json"][name]})
    result: dict[str, Any] = compute_metrics(rows, [suite], [])["t"]
    expected = {"city": {"correct": 0, "reference": 1, "predicted": 1}}
    assert result.get("entities") == (expected if has_types else None)
