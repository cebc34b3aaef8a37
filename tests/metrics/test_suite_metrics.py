"""Metrics of a variant: they follow from its predictions alone and are finite or left out."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lockstep import predictions
from lockstep.errors import UserError
from lockstep.metrics import classification, suite_metrics
from lockstep.metrics.registry import DEFAULT_METRICS, METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite, build_measured_suites, compute_metrics
from lockstep.predictions import Prediction
from lockstep.statistics import paired_tests
from lockstep.suites import AnswerForm

UNUSUAL_TEXT = "退\ufffd\x00\r\n\x85\u2028</p>"
"""Part of a character, and characters that some readers treat as the end of a line."""
SCHEMA = {"$defs": {"id": {"type": "integer"}}, "properties": {"order": {"$ref": "#/$defs/id"}}}


def make_predictions(*pairs: tuple[str, str], **changes: Any) -> list[Prediction]:
    """Return predictions of one task from (reference, prediction) pairs."""
    return [
        Prediction(
            id=str(number), task="t", slices={"language": "en"}, question="", prompt="",
            reference=reference, prediction=prediction, loss=2.0, tokens=len(reference) + 1,
            **{"answer_form": "text", **changes},
        )
        for number, (reference, prediction) in enumerate(pairs)
    ]  # fmt: skip


def make_suite(form: AnswerForm) -> MeasuredSuite:
    """Return a suite with all metrics of an answer form."""
    return MeasuredSuite(task="t", form=form, metrics=METRICS[form])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", ["text", "json", "calls"])
@pytest.mark.parametrize("prediction", ["", "x y", UNUSUAL_TEXT])
def test_metrics_of_empty_references_are_defined_or_left_out(
    form: AnswerForm, prediction: str
) -> None:
    rows = make_predictions(("", prediction), ("", ""), answer_form=form)
    result = compute_metrics(rows, [make_suite(form)], ["language"])
    json.dumps(result, allow_nan=False)
    assert "bits_per_byte" not in result, "the references have no bytes"
    assert result["perplexity"] == pytest.approx(math.exp(2))
    overall, by_slice = result["t"]["overall"], result["t"]["slices"]["language"]["en"]
    assert by_slice == {"records": 2, **overall}
    assert "length_ratio" not in overall
    intervals = paired_tests.compute_intervals(METRICS[form], rows, 7)
    assert intervals.keys() == overall.keys()
    for difference in paired_tests.compute_differences(METRICS[form], rows, rows, 7).values():
        assert (difference.value, difference.p) == (0, 1)


def test_an_empty_answer_to_an_empty_reference_is_right_as_text_and_as_calls() -> None:
    form: AnswerForm
    for form, name in ("text", "exact_match"), ("text", "token_f1"), ("calls", "exact_match"):
        rows = make_predictions(("", ""), ("", "x"), answer_form=form)
        overall = compute_metrics(rows, [make_suite(form)], [])["t"]["overall"]
        assert overall[name] == (0.5 if form == "text" else 1), name


@pytest.mark.parametrize("form", ["text", "json", "calls"])
def test_metrics_follow_from_the_file_for_any_text(tmp_path: Path, form: AnswerForm) -> None:
    rows = make_predictions(
        ("退款", UNUSUAL_TEXT),
        ('{"a": "退"}', f'{{"a": "{UNUSUAL_TEXT[:2]}"}}'),
        (UNUSUAL_TEXT, UNUSUAL_TEXT),
        answer_form=form,
    )
    file = tmp_path / "predictions.jsonl"
    predictions.write(file, rows)
    assert len(file.read_bytes().decode().split("\n")) == 3 + 1
    assert predictions.read(file) == rows
    before, after = (
        compute_metrics(some, [make_suite(form)], ["language"])
        for some in (rows, predictions.read(file))
    )
    assert before == after
    assert before["t"]["overall"]["exact_match"] == {"text": 1 / 3, "json": 0, "calls": 1}[form]


def test_the_confusion_matrix_of_written_labels_has_no_generated_text() -> None:
    rows = make_predictions(
        ("lost", "lost\n"), ("lost", "late"), ("late", "It is late."), ("late", UNUSUAL_TEXT),
        answer_form="written_label",
    )  # fmt: skip
    result = compute_metrics(rows, [make_suite("written_label")], [])["t"]
    assert result["overall"]["accuracy"] == 1 / 4
    assert result["confusion"] == {
        "late": {classification.OTHER: 2},
        "lost": {"late": 1, "lost": 1},
    }


def test_truncated_answers_are_counted_where_answers_are_generated() -> None:
    rows = [
        *make_predictions(("a", "a"), ("b", "b")),
        *make_predictions(("c", "c and then"), truncated=True),
    ]
    assert compute_metrics(rows, [make_suite("text")], [])["t"]["truncated"] == 1
    rows = make_predictions(("a", "a"), answer_form="choice", option_scores={"a": 0.0})
    assert "truncated" not in compute_metrics(rows, [make_suite("choice")], [])["t"]


def test_the_mean_length_of_the_reasoning_is_a_metric_of_models_that_reason() -> None:
    rows = [
        *make_predictions(("a", "a"), reasoning="Hm, a?", reasoning_tokens=5),
        *make_predictions(("b", "b"), ("c", "c")),
    ]
    assert compute_metrics(rows, [make_suite("text")], [])["t"]["reasoning_tokens"] == 5 / 3
    rows = make_predictions(("a", "a"))
    assert "reasoning_tokens" not in compute_metrics(rows, [make_suite("text")], [])["t"]


def test_a_task_without_a_suite_counts_only_in_perplexity() -> None:
    rows = make_predictions(("a", ""), answer_form="")
    assert build_measured_suites(rows, {}, {}) == []
    assert compute_metrics(rows, [], []) == {
        "perplexity": pytest.approx(math.e),  # 2 nats over 2 tokens
        "bits_per_byte": pytest.approx(2 / math.log(2)),
    }


def test_a_suite_has_the_default_metrics_of_its_form_unless_the_params_name_others() -> None:
    rows = make_predictions(("a", "a"), answer_form="text")
    [suite] = build_measured_suites(rows, {}, {})
    assert (suite.task, suite.form, tuple(suite.metrics)) == ("t", "text", DEFAULT_METRICS["text"])
    [suite] = build_measured_suites(rows, {"t": ["token_f1", "bleu"]}, {})
    assert list(suite.metrics) == ["token_f1", "bleu"]


def test_no_metric_is_broken_down_by_slices_that_link_predictions() -> None:
    rows = make_predictions(("a", "a"))
    linked = make_predictions(("a", "a"))
    linked[0].slices.update(parent="1", perturbation="noise", split="train")
    assert suite_metrics.list_slices([*rows, *linked]) == ["language"]


@pytest.mark.parametrize(
    ("form", "metrics", "schemas", "line"),
    [
        ("text", {"u": ["bleu"]}, {}, r"metrics: no suite has task u; the suites are t$"),
        ("json", {}, {"u": {}}, r"json_schemas: no suite has task u; the suites are t$"),
        ("text", {"t": ["bleau"]}, {}, r"metrics: t: bleau is no metric of text answers; known: "),
        ("text", {}, {"t": {}}, r"json_schemas: task t has text answers; a schema needs json an"),
        (
            "json",
            {"t": ["schema_valid"]},
            {},
            r"metrics: t: schema_valid is no metric of json answers \(schema_valid needs "
            r"evaluate\.json_schemas\); known: exact_match, ",
        ),
    ],
)
def test_a_metric_that_a_suite_cannot_have_is_refused(
    form: AnswerForm, metrics: dict[str, list[str]], schemas: dict[str, Any], line: str
) -> None:
    rows = make_predictions(("{}", "{}"), answer_form=form)
    with pytest.raises(UserError, match=rf"^params\.yaml: evaluate\.{line}"):
        build_measured_suites(rows, metrics, schemas)


def test_a_schema_adds_a_metric_that_counts_the_answers_that_match_it() -> None:
    rows = make_predictions(
        *[("{}", text) for text in ('{"order": 7}', '{"order": "7"}', "{}", "order 7")],
        answer_form="json",
    )
    suites = build_measured_suites(rows, {"t": ["valid", "schema_valid"]}, {"t": SCHEMA})
    assert compute_metrics(rows, suites, [])["t"]["overall"] == {
        "valid": 3 / 4,
        "schema_valid": 2 / 4,
    }
    [suite] = build_measured_suites(rows, {}, {"t": SCHEMA})
    assert list(suite.metrics) == [*DEFAULT_METRICS["json"], "schema_valid"]
