"""Damaged outputs of earlier stages are refused by name."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from lockstep import predictions
from lockstep.errors import UserError
from lockstep.predictions import VARIANTS, Prediction
from lockstep.statistics import stage_results


def test_numbers_deep_in_a_file_must_be_finite(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text('{"a": [1, {"b": -Infinity}]}')
    with pytest.raises(UserError, match=r"facts\.json: a\.1\.b is -inf"):
        stage_results.read_json(path)


@pytest.mark.parametrize(("text", "message"), [(None, "not found; run"), ("{", "not JSON: ")])
def test_a_missing_or_damaged_file_is_refused(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "facts.json"
    if text:
        path.write_text(text)
    with pytest.raises(UserError, match=rf"facts\.json: {message}"):
        stage_results.read_json(path)


def test_missing_values_of_the_log_are_read_as_none(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss,validation_loss,grad_norm\n1,2.5,,inf\n2,,0.5,\n")
    assert stage_results.read_log(path) == [
        {"step": 1, "loss": 2.5, "validation_loss": None, "grad_norm": math.inf},
        {"step": 2, "loss": None, "validation_loss": 0.5, "grad_norm": None},
    ]
    path.write_text("step,loss,validation_loss\n1,2.5,\n2,nan,0.5\n")
    with pytest.raises(
        UserError, match=r"log\.csv:3: loss is nan, not a finite .* lower train\.learning_rate$"
    ):
        stage_results.read_log(path)
    with pytest.raises(UserError, match=r"none\.csv: not found; run `dvc repro`"):
        stage_results.read_log(tmp_path / "none.csv")


def make_prediction(key: str, form: str = "text") -> Prediction:
    return Prediction(
        id=key, task="t", slices={}, question="", prompt="", reference="", answer_form=form
    )


def write_predictions(folder: Path, rows: Mapping[str, list[Prediction]]) -> None:
    for variant in VARIANTS:
        (folder / variant).mkdir()
        predictions.write(folder / variant / "predictions.jsonl", rows.get(variant, rows["all"]))


def test_predictions_of_all_variants_are_sorted_like_those_of_merged(tmp_path: Path) -> None:
    a, b = make_prediction("a"), make_prediction("b")
    write_predictions(tmp_path, {"all": [a, b], "base": [b, a]})
    assert stage_results.read_predictions(tmp_path) == {name: [a, b] for name in VARIANTS}


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (["a", "a"], r"base: predictions\.jsonl has a record twice; run `dvc repro`"),
        (["a"], "base: the test records differ from those of merged; run `dvc repro`"),
        (["a", "b:choice"], "base: task t has choice answers, but text answers in merged; run"),
        (["a", "b:"], "base: task t has no answers, but text answers in merged; run `dvc repro`"),
    ],
)
def test_variants_that_answered_different_questions_are_refused(
    tmp_path: Path, base: list[str], message: str
) -> None:
    rows = [make_prediction(*name.split(":")) for name in base]
    write_predictions(tmp_path, {"all": [make_prediction(key) for key in "ab"], "base": rows})
    with pytest.raises(UserError, match=message):
        stage_results.read_predictions(tmp_path)
