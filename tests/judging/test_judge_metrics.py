"""Shares and means by hand, from judgements written here."""

from typing import Any

from lockstep.judging import judge_metrics
from lockstep.judging.judgements import Judgement
from tests.judging.settings import settings


def shown(id_: str, variants: list[str], verdict: Any, reply: str | None = "…") -> Judgement:
    verdicts = None if verdict is None else {"fluency": verdict}
    return Judgement(id=id_, task="reply", shown=variants, reply=reply, verdicts=verdicts)


def both(id_: str, forth: str | None, back: str | None) -> list[Judgement]:
    return [shown(id_, ["merged", "base"], forth), shown(id_, ["base", "merged"], back)]


def test_a_win_is_one_in_both_orders() -> None:
    judgements = [
        *both("1", "merged", "merged"),
        *both("2", "merged", "merged"),
        *both("3", "base", "base"),
        *both("4", "merged", "base"),
        *both("5", "merged", "tie"),
        *both("6", "tie", "tie"),
        shown("7", ["merged", "base"], "tie", reply=None),
        *both("8", "merged", None),
    ]
    assert judge_metrics.of(judgements, settings()) == {
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


def test_a_mean_is_over_what_could_be_read() -> None:
    judgements = [shown(str(score), ["base"], score) for score in (1, 2, 5)]
    judgements += [shown("x", ["base"], None), shown("1", ["merged"], 4)]
    found = judge_metrics.of(judgements, settings(compare=[], score=["base", "merged"]))
    assert found["reply"]["scored"] == {
        "base": {
            "records": 3,
            "unreadable": 0.25,
            "dimensions": {"fluency": {"mean": round(8 / 3, 4), "interval": [1.0, 5.0]}},
        },
        "merged": {"records": 1, "unreadable": 0.0, "dimensions": {"fluency": {"mean": 4.0}}},
    }


def test_what_is_not_defined_is_left_out() -> None:
    unread = judge_metrics.of(both("1", None, "merged"), settings())
    pair = unread["reply"]["compared"]["merged_against_base"]
    assert pair == {"records": 0, "unreadable": 0.5, "dimensions": {}}
    equal = judge_metrics.of([shown("1", ["merged", "base"], "tie", reply=None)], settings())
    pair = equal["reply"]["compared"]["merged_against_base"]
    assert pair == {
        "records": 1,
        "dimensions": {
            "fluency": {"win": 0.0, "tie": 1.0, "loss": 0.0, "interval": [0.0, 0.7935], "p": 1.0}
        },
    }


def test_shares_of_a_pair_are_of_its_own_suite() -> None:
    other = Judgement(
        id="9", task="other", shown=["merged", "base"], reply=None, verdicts={"fluency": "tie"}
    )
    found = judge_metrics.of([*both("1", "merged", "merged"), other], settings())
    assert found["reply"]["compared"]["merged_against_base"]["records"] == 1
