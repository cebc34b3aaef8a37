"""Win rates and mean scores equal those computed by hand from a few judgements."""

from typing import Any

from lockstep.judging.judge_metrics import compute_judge_metrics
from lockstep.judging.judgements import Judgement
from tests.judging.judge_settings import make_params


def make_judgement(
    record_id: str, variants: list[str], verdict: Any, reply: str | None = "…", task: str = "reply"
) -> Judgement:
    verdicts = None if verdict is None else {"fluency": verdict}
    return Judgement(id=record_id, task=task, shown=variants, reply=reply, verdicts=verdicts)


def judge_both_orders(record_id: str, forward: str | None, reverse: str | None) -> list[Judgement]:
    return [
        make_judgement(record_id, ["merged", "base"], forward),
        make_judgement(record_id, ["base", "merged"], reverse),
    ]


def test_a_variant_wins_if_it_wins_in_both_orders() -> None:
    judgements = [
        *judge_both_orders("1", "merged", "merged"),
        *judge_both_orders("2", "merged", "merged"),
        *judge_both_orders("3", "base", "base"),
        *judge_both_orders("4", "merged", "base"),
        *judge_both_orders("5", "merged", "tie"),
        *judge_both_orders("6", "tie", "tie"),
        make_judgement("7", ["merged", "base"], "tie", reply=None),
        *judge_both_orders("8", "merged", None),
    ]
    assert compute_judge_metrics(judgements, make_params()) == {
        "reply": {
            "compared": {
                "merged_against_base": {
                    "records": 7,
                    "unreadable": round(1 / 14, 4),
                    "dimensions": {
                        "fluency": {
                            "win": round(2 / 7, 4),
                            "tie": round(4 / 7, 4),
                            "loss": round(1 / 7, 4),
                            "interval": [0.0822, 0.6411],  # Wilson, 2 of 7
                            "p": 1.0,  # 2 and 1
                            "agreement": round(4 / 6, 4),
                        }
                    },
                }
            },
            "scored": {},
        }
    }


def test_a_mean_is_over_readable_replies() -> None:
    judgements = [make_judgement(str(score), ["base"], score) for score in (1, 2, 5)]
    judgements += [make_judgement("x", ["base"], None), make_judgement("1", ["merged"], 4)]
    settings = make_params(compare=[], score=["base", "merged"])
    metrics = compute_judge_metrics(judgements, settings)
    assert metrics["reply"]["scored"] == {
        "base": {
            "records": 3,
            "unreadable": 0.25,
            "dimensions": {"fluency": {"mean": round(8 / 3, 4), "interval": [1.0, 5.0]}},
        },
        "merged": {"records": 1, "unreadable": 0.0, "dimensions": {"fluency": {"mean": 4.0}}},
    }


def test_undefined_metrics_are_omitted() -> None:
    unreadable = compute_judge_metrics(judge_both_orders("1", None, "merged"), make_params())
    pair = unreadable["reply"]["compared"]["merged_against_base"]
    assert pair == {"records": 0, "unreadable": 0.5, "dimensions": {}}
    judgement = make_judgement("1", ["merged", "base"], "tie", reply=None)
    equal = compute_judge_metrics([judgement], make_params())
    pair = equal["reply"]["compared"]["merged_against_base"]
    assert pair == {
        "records": 1,
        "dimensions": {
            "fluency": {"win": 0.0, "tie": 1.0, "loss": 0.0, "interval": [0.0, 0.7935], "p": 1.0}
        },
    }
    assert compute_judge_metrics([], make_params()) == {}


def test_each_suite_has_its_own_metrics() -> None:
    judgements = [
        *judge_both_orders("1", "merged", "merged"),
        make_judgement("9", ["merged", "base"], "tie", reply=None, task="other"),
    ]
    metrics = compute_judge_metrics(judgements, make_params())
    assert [*metrics] == ["reply", "other"]
    for suite in metrics.values():
        assert suite["compared"]["merged_against_base"]["records"] == 1
