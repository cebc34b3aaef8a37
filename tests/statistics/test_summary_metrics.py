import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import UserError
from lockstep.reporting import summary_metrics


@given(st.text())
def test_keys_are_plain(name: str) -> None:
    assert re.fullmatch("[a-z0-9_]*", summary_metrics.key(name))


def test_keys_stay_readable_and_apart() -> None:
    assert summary_metrics.key("accuracy_language_zh-CN") == "accuracy_language_zh_cn"
    assert summary_metrics.key("难") != summary_metrics.key("易")


def test_two_slices_of_one_name_are_refused() -> None:
    parts = {value: {"records": 1, "accuracy": 0.5} for value in ("A b", "a_b")}
    suite = {"records": 2, "overall": {"accuracy": 0.5}, "slices": {"kind": parts}}
    variant = {"intent": suite, "perplexity": 2.0}
    with pytest.raises(UserError, match="two figures of intent are named accuracy_kind_a_b"):
        summary_metrics.by_suite(variant, ["kind"])


def test_the_main_figure_is_kept_and_broken_down() -> None:
    part = {"records": 1, "rouge_l": 0.25, "bleu": 3.0}
    suite = {
        "records": 2,
        "overall": {"bleu": 9.0, "rouge_l": 0.5, "chrf": 30.0},
        "slices": {"kind": {"x": part}},
    }
    variant = {"reply": suite, "perplexity": 2.0}
    found = summary_metrics.by_suite(variant, ["kind", "absent"])
    assert found == {
        "reply": {"rouge_l": 0.5, "rouge_l_kind_x": 0.25},
        "perplexity": {"overall": 2.0},
    }
