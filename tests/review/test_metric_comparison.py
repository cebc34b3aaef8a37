"""p-values of a review are corrected for the metrics that can be significant."""

import json

import pytest

from lockstep.review.metric_comparison import MetricChange, Results, compare_metrics
from lockstep.statistics.record_scores import StoredScores, read_scores

HEADER = """{"task":"%s","form":"label","metrics":["accuracy"],"variants":["quantized"],\
"texts":["no","yes"],"columns":["quantized prediction"],"constants":{"reference":1}}\n"""


def make_scores(**predictions: list[int]) -> StoredScores:
    """Return suites of records whose label is `yes`; a prediction of 1 is right."""
    return read_scores(
        "".join(
            HEADER % task + "".join(f'["{n}",{value}]\n' for n, value in enumerate(values))
            for task, values in predictions.items()
        )
    )


def compare(base: StoredScores, this: StoredScores) -> dict[str, MetricChange]:
    details = {"quantized": {task: {"overall": {"accuracy": 0.5}} for task in this.suites}}
    changes = compare_metrics(Results(details, base), Results(details, this), seed=0)
    return {change.suite: change for change in changes}


def test_suites_whose_answers_are_the_same_do_not_count_as_tests() -> None:
    base = make_scores(a=[0] * 6 + [1] * 6, b=[0, 1] * 6, c=[0, 1] * 6)
    changes = compare(base, make_scores(a=[1] * 12, b=[0, 1] * 6, c=[0, 1] * 6))
    assert changes["a"].difference and changes["b"].difference
    # McNemar's exact test of 6 better answers and none worse: 2 × ½⁶
    assert changes["a"].difference.p_adjusted == pytest.approx(0.03125)
    assert (changes["a"].word, changes["b"].word, changes["c"].word) == ("better", "same", "same")
    changes = compare(base, make_scores(a=[1] * 12, b=[1, 0] + [0, 1] * 5, c=[0, 1] * 6))
    assert changes["a"].difference
    assert changes["a"].difference.p_adjusted == pytest.approx(0.0625), "b is tested, too"
    assert changes["a"].word == "could be chance"


def test_records_that_one_side_lacks_are_left_out() -> None:
    change = compare(make_scores(a=[0] * 8 + [1] * 4), make_scores(a=[1] * 10))["a"]
    assert change.difference and change.difference.records == 10
    assert (change.base, change.this) == (0.2, 1.0)


@pytest.mark.parametrize(
    ("base", "this"),
    [(["token_f1"], ["token_f1", "rouge_l"]), (["rouge_l", "token_f1"], ["token_f1"])],
)
def test_a_metric_of_one_side_alone_is_not_compared(base: list[str], this: list[str]) -> None:
    def make_results(metrics: list[str]) -> Results:
        columns = [f"quantized {name} {place}" for name in metrics for place in range(2)]
        header = {
            "task": "a", "form": "text", "metrics": {name: [name] for name in metrics},
            "variants": ["quantized"], "columns": columns, "constants": {},
        }  # fmt: skip
        rows = [[str(n), *[n % 2, 1] * len(metrics)] for n in range(6)]
        scores = read_scores("\n".join(map(json.dumps, [header, *rows])))
        overall = dict.fromkeys(metrics, 0.5)
        return Results({"quantized": {"a": {"overall": overall}}}, scores)

    changes = compare_metrics(make_results(base), make_results(this), seed=0)
    words = {change.metric: change.word for change in changes}
    assert words == {"token_f1": "same", "rouge_l": "not compared"}


def test_metrics_are_paired_whichever_of_them_gave_the_shared_summands_a_name() -> None:
    def make_results(metrics: list[str]) -> Results:
        header = {
            "task": "a", "form": "json", "metrics": {metrics[0]: metrics},
            "variants": ["quantized"], "constants": {},
            "columns": [f"quantized {metrics[0]} {place}" for place in range(3)],
        }  # fmt: skip
        rows = [[str(n), n % 2, 1, 1] for n in range(6)]
        scores = read_scores("\n".join(map(json.dumps, [header, *rows])))
        return Results({"quantized": {"a": {"overall": dict.fromkeys(metrics, 0.5)}}}, scores)

    base = make_results(["entity_f1", "entity_recall"])
    changes = compare_metrics(base, make_results(["entity_recall", "entity_f1"]), seed=0)
    assert {change.metric: change.word for change in changes} == {
        "entity_f1": "same", "entity_recall": "same",
    }  # fmt: skip
