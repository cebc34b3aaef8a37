"""Robustness: metrics counted by hand, and agreement for each answer form."""

import pytest

from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import PARENT, PERTURBATION, Prediction
from lockstep.statistics.robustness import AGREEMENT, compute_robustness
from lockstep.suites import AnswerForm


def make_suite(form: AnswerForm) -> MeasuredSuite:
    return MeasuredSuite(task="t", form=form, metrics=METRICS[form])


def make_prediction(
    key: str, answer: str, reference: str = "track", parent: str = "", kind: str = ""
) -> Prediction:
    """Return the prediction of a record, or of a perturbed record if it has a parent."""
    slices = {PARENT: parent, PERTURBATION: kind} if parent else {}
    return Prediction(
        id=key, task="t", slices=slices, question="", prompt="", reference=reference,
        prediction=answer, answer_form="choice",
    )  # fmt: skip


def test_metrics_equal_a_calculation_by_hand() -> None:
    predictions = [
        make_prediction("a", "track"),
        make_prediction("b", "cancel"),
        make_prediction("c", "track"),
    ]
    perturbed = [
        make_prediction("a1", "track", parent="a", kind="typos"),
        make_prediction("a2", "cancel", parent="a", kind="typos"),
        make_prediction("a3", "track", parent="a", kind="case"),
        make_prediction("b1", "cancel", parent="b", kind="typos"),
    ]
    suite = make_suite("choice")
    assert compute_robustness(predictions, perturbed, suite) == {
        "overall": {
            "records": 2, "variants": 4, "agreement": pytest.approx((2 / 3 + 1) / 2),
            "interval": [0, 1], "all_agree": 1 / 2,  # t of one degree of freedom, clipped
            "score": 2 / 4, "score_unchanged": 1 / 2,
        },
        "case": {
            "records": 1, "variants": 1, "agreement": 1, "interval": None, "all_agree": 1,
            "score": 1, "score_unchanged": 1,
        },
        "typos": {
            "records": 2, "variants": 3, "agreement": (1 / 2 + 1) / 2, "interval": [0, 1],
            "all_agree": 1 / 2, "score": 1 / 3, "score_unchanged": 1 / 2,
        },
    }  # fmt: skip
    assert compute_robustness(predictions, [], suite) == {}
    other = MeasuredSuite(task="other", form="choice", metrics={})
    assert compute_robustness(predictions, perturbed, other) == {}


@pytest.mark.parametrize(
    ("form", "reference", "first", "second", "agreement"),
    [
        ("choice", "", "track", "track", 1),
        ("written_label", "", "track\n", " track", 1),
        ("written_label", "", "track", "cancel", 0),
        ("written_number", "3", "3", "3", 1),
        ("written_number", "3", "3", "3.0", 1),
        ("written_number", "3", "3", "4", 0),
        ("written_number", "3", "none", "none", 1),
        ("json", "{}", '{"a": 1, "b": 2}', '{"b":2,"a":1.0}', 1),
        ("json", "{}", "no JSON", "no JSON", 1),
        ("json", "{}", "no JSON", "nor this", 0),
        ("calls", "", '{"name": "f", "arguments": {}}', '[{"name": "f", "arguments": {}}]', 1),
        ("calls", "", '{"name": "f", "arguments": {}}', "It is late.", 0),
        ("calls", "", "It is late.", "It is late.", 1),
        ("text", "", "the parcel", "the parcel came", 2 * 2 / (2 + 3)),  # ROUGE-L
        ("text", "", "", "", 1),
        ("preference", "", "chosen", "rejected", 0),
        ("refusal", "unsafe", "I cannot help with that.", "抱歉，我帮不了您。", 1),
        ("refusal", "unsafe", "I cannot help with that.", "Press the button.", 0),
        ("refusal", "unsafe", "", "Press the button.", 0),
        (
            "rules",
            '[{"rule": "contains", "text": "42"}, {"rule": "lacks", "text": "no"}]',
            "It is 42.", "It is 43.", 1 / 2,
        ),
        ("labels", "[]", '["a", "b"]', '["a", "b"]', 1),
        ("number", "1", "1.5", "1.25", 0),
    ],
)  # fmt: skip
def test_agreement_suits_the_answer_form(
    form: AnswerForm, reference: str, first: str, second: str, agreement: float
) -> None:
    original = make_prediction("a", first, reference)
    perturbed = make_prediction("a1", second, reference, parent="a", kind="resampled")
    result = compute_robustness([original], [perturbed], make_suite(form))["overall"]
    assert result["agreement"] == pytest.approx(agreement)
    assert result["all_agree"] == (agreement == 1)


def test_every_answer_form_has_an_agreement() -> None:
    assert set(AGREEMENT) == set(METRICS)


def test_a_paraphrase_is_compared_with_its_parent_among_the_test_records() -> None:
    predictions = [make_prediction("a", "track"), make_prediction("c", "cancel")]
    child = make_prediction("c", "cancel", parent="a", kind="paraphrase")
    result = compute_robustness(predictions, [child], make_suite("choice"))
    assert result["paraphrase"]["agreement"] == 0
    assert result["overall"]["records"] == 1
