"""reports/metrics.json: plain keys, each once, and the main metric of each suite."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import UserError
from lockstep.statistics import summary_metrics


@given(st.text())
def test_keys_are_plain(name: str) -> None:
    assert re.fullmatch("[a-z0-9_]*", summary_metrics.make_plain_key(name))


def test_keys_stay_readable_and_different() -> None:
    assert summary_metrics.make_plain_key("accuracy_language_zh-CN") == "accuracy_language_zh_cn"
    assert summary_metrics.make_plain_key("难") != summary_metrics.make_plain_key("易")


def test_two_slices_of_one_name_are_refused() -> None:
    values = {value: {"records": 1, "accuracy": 0.5} for value in ("A b", "a_b")}
    suite = {"records": 2, "overall": {"accuracy": 0.5}, "slices": {"kind": values}}
    variant = {"intent": suite, "perplexity": 2.0}
    with pytest.raises(
        UserError, match="two metrics of intent would be named accuracy_kind_a_b; rename a task or"
    ):
        summary_metrics.summarize_variants({"base": variant}, ["kind"])


def test_two_tasks_of_one_name_are_refused() -> None:
    suite = {"records": 2, "overall": {"accuracy": 0.5}, "slices": {}}
    with pytest.raises(UserError, match="two metrics of the suites would be named a_b; rename"):
        summary_metrics.summarize_variants({"base": {"A b": suite, "a_b": suite}}, [])


def test_the_main_metric_is_broken_down_by_slice() -> None:
    suite = {
        "records": 2,
        "overall": {"bleu": 9.0, "rouge_l": 0.5, "chrf": 30.0},
        "slices": {"kind": {"x": {"records": 1, "rouge_l": 0.25, "bleu": 3.0}}},
    }
    variant = {"reply": suite, "perplexity": 2.0}
    assert summary_metrics.summarize_variants({"base": variant}, ["kind", "absent"]) == {
        "base": {
            "reply": {"rouge_l": 0.5, "rouge_l_kind_x": 0.25},
            "perplexity": {"overall": 2.0},
        }
    }


def test_all_variants_have_the_same_main_metric() -> None:
    """The base may answer with no number at all and then has no mean absolute error."""
    base = {"price": {"overall": {"valid": 0.0}, "slices": {}}}
    merged = {"price": {"overall": {"mean_absolute_error": 2.0, "valid": 1.0}, "slices": {}}}
    assert summary_metrics.summarize_variants({"base": base, "merged": merged}, []) == {
        "base": {},
        "merged": {"price": {"mean_absolute_error": 2.0}},
    }
