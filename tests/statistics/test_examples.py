"""Examples: which records the report shows, and in which order."""

import pytest

from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import VARIANTS, Prediction
from lockstep.statistics.examples import ComparedRecord, choose_examples, compare_variants
from lockstep.suites import AnswerForm


def make_suite(form: AnswerForm) -> MeasuredSuite:
    """Return a suite with all metrics of an answer form."""
    return MeasuredSuite(task="t", form=form, metrics=METRICS[form])


CHOICE, TEXT = make_suite("choice"), make_suite("text")


def make_record(number: int, base: float, merged: float, quantized: float) -> ComparedRecord:
    """Return a test record with the score of each variant's answer."""
    return ComparedRecord(
        id=f"{number:02}",
        slices={},
        question="?",
        reference="yes",
        predictions=dict.fromkeys(VARIANTS, "?"),
        scores={"base": base, "merged": merged, "quantized": quantized},
    )


RECORDS = [
    *(make_record(number, 0, 1, 1) for number in range(10)),
    make_record(10, 1, 1, 1),
    make_record(11, 1, 0, 0),
    make_record(12, 0, 1, 0),
    make_record(13, 0, 0, 0),
]


def list_examples(
    records: list[ComparedRecord], number: int, suite: MeasuredSuite = CHOICE
) -> list[tuple[str, str]]:
    """Return (outcome, id) of the chosen examples."""
    return [(row["outcome"], row["id"]) for row in choose_examples(records, number, suite)]


def test_every_outcome_is_shown_the_worst_first() -> None:
    assert list_examples(RECORDS, 5) == [
        ("broken by tuning", "11"),
        ("broken by quantization", "12"),
        ("still wrong", "13"),
        ("fixed by tuning", "00"),
        ("fixed by tuning", "01"),
    ]


def test_the_order_of_the_records_does_not_matter() -> None:
    assert list_examples(RECORDS[::-1], 7) == list_examples(RECORDS, 7)


def test_the_number_of_examples_is_limited() -> None:
    assert list_examples(RECORDS, 0) == []
    assert (
        len(list_examples(RECORDS, 99)) == 13
    )  # a record that all variants answer well is no example


def test_outcomes_of_free_text_are_closer_to_or_further_from_the_reference() -> None:
    records = [
        make_record(1, 0, 0.8, 0.8),
        make_record(2, 0.8, 0, 0),
        make_record(3, 0, 0.05, 0.05),
        make_record(4, 1, 1, 0),
        make_record(5, 1, 1, 1),
    ]
    assert list_examples(records, 9, TEXT) == [
        ("further from the reference", "02"),
        ("further from the reference once quantized", "04"),
        ("no closer to the reference", "03"),
        ("closer to the reference after tuning", "01"),
    ]


@pytest.mark.parametrize("form", ["number", "written_number"])
def test_outcomes_of_numbers_are_closer_to_or_further_from_the_reference(form: AnswerForm) -> None:
    records = [make_record(1, 0, 0.05, 0.05)]
    assert list_examples(records, 9, make_suite(form)) == [("no closer to the reference", "01")]


def test_a_record_is_compared_by_the_answers_of_all_variants() -> None:
    def make_prediction(prediction: str, task: str = "t", form: str = "text") -> Prediction:
        return Prediction(
            id=f"{task}{form}", task=task, slices={"language": "en"}, question="Where?", prompt="",
            reference="on its way", prediction=prediction, answer_form=form,
        )  # fmt: skip

    predictions = {
        "base": [
            make_prediction("no"),
            make_prediction("no", "other"),
            make_prediction("no", form=""),
        ],
        "merged": [
            make_prediction("on its way"),
            make_prediction("no", "other"),
            make_prediction("no", form=""),
        ],
        "quantized": [
            make_prediction("on its road"),
            make_prediction("no", "other"),
            make_prediction("no", form=""),
        ],
    }
    [record] = compare_variants(predictions, TEXT)
    assert (record.id, record.question, record.reference) == ("ttext", "Where?", "on its way")
    assert record.slices == {"language": "en"}
    assert record.predictions == {"base": "no", "merged": "on its way", "quantized": "on its road"}
    assert record.scores == pytest.approx({"base": 0, "merged": 1, "quantized": 2 / 3})
