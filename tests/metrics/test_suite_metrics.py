"""Figures from predictions alone: finite or left out, and the same from the file."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from lockstep.metrics.suites import Suite

from lockstep import predictions
from lockstep.metrics import classification, suite_metrics
from lockstep.metrics.registry import METRICS
from lockstep.predictions import Prediction
from lockstep.statistics import paired_tests

ODD = "退\ufffd\x00\r\n\x85\u2028</p>"
"""A piece of a character, and what other readers take for the end of a line."""


def rows(*pairs: tuple[str, str], **changes: Any) -> list[Prediction]:
    """(expected, got) of one task."""
    return [
        Prediction(
            id=str(n), task="t", slices={"language": "en"}, question="", prompt="", reference=want,
            prediction=prediction, loss=2.0, tokens=len(want) + 1, **changes,
        )
        for n, (want, prediction) in enumerate(pairs)
    ]  # fmt: skip


def suite(answer: str) -> Suite:
    return Suite.model_validate({"task": "t", "answer": answer, "metrics": [*METRICS[answer]]})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("answer", ["text", "json", "calls"])
@pytest.mark.parametrize("prediction", ["", "x y", ODD])
def test_where_nothing_is_expected_figures_are_defined_or_left_out(answer: str, prediction: str):
    some = rows(("", prediction), ("", ""))
    found = suite_metrics.of(some, [suite(answer)], ["language"])
    json.dumps(found, allow_nan=False)
    assert "bits_per_byte" not in found, "no byte is expected"
    assert found["perplexity"] == pytest.approx(math.exp(2))
    whole, part = found["t"]["overall"], found["t"]["slices"]["language"]["en"]
    assert part == {"records": 2, **whole}
    assert "length_ratio" not in whole
    metrics = suite(answer).figures
    intervals = paired_tests.intervals(metrics, some, 7)
    assert intervals.keys() == whole.keys()
    for test in paired_tests.differences(metrics, some, some, 7).values():
        assert (test.value, test.p) == (0, 1)


def test_nothing_said_where_nothing_is_expected_is_right_as_text_and_as_calls():
    for answer, name in ("text", "exact_match"), ("text", "token_f1"), ("calls", "exact_match"):
        found = suite_metrics.of(rows(("", ""), ("", "x")), [suite(answer)], [])
        assert found["t"]["overall"][name] == (0.5 if answer == "text" else 1), name


@pytest.mark.parametrize("answer", ["text", "json", "calls"])
def test_figures_follow_from_the_file_whatever_a_model_writes(tmp_path: Path, answer: str):
    said = rows(("退款", ODD), ('{"a": "退"}', f'{{"a": "{ODD[:2]}"}}'), (ODD, ODD))
    predictions.write(tmp_path / "predictions.jsonl", said)
    assert len((tmp_path / "predictions.jsonl").read_bytes().decode().split("\n")) == 3 + 1
    again = predictions.read(tmp_path / "predictions.jsonl")
    assert again == said
    found, told = (suite_metrics.of(some, [suite(answer)], ["language"]) for some in (said, again))
    assert found == told
    assert found["t"]["overall"]["exact_match"] == {"text": 1 / 3, "json": 0, "calls": 1}[answer]


def test_the_confusion_of_written_labels_holds_no_text_of_the_models_own():
    some = rows(("lost", "lost\n"), ("lost", "late"), ("late", "It is late."), ("late", ODD))
    found = suite_metrics.of(some, [suite("written_label")], [])["t"]
    assert found["overall"]["accuracy"] == 1 / 4
    assert found["confusion"] == {
        "late": {classification.OTHER: 2},
        "lost": {"late": 1, "lost": 1},
    }


def test_answers_that_were_cut_are_counted_where_answers_are_written():
    some = [*rows(("a", "a"), ("b", "b")), *rows(("c", "c and then"), truncated=True)]
    assert suite_metrics.of(some, [suite("text")], [])["t"]["truncated"] == 1
    choices = [suite("choice").model_copy(update={"metrics": ["accuracy"]})]
    assert "truncated" not in suite_metrics.of(rows(("a", "a")), choices, [])["t"]
