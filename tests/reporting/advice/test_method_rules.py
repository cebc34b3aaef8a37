"""Advice on prompting, retrieval, robustness and quantization fires on proven differences."""

from typing import Any

import pytest

from tests.reporting.advice.runs import advise, list_rules, make_difference, make_suite


def test_a_base_that_is_equivalent_to_the_tuned_model_asks_for_a_prompt() -> None:
    [item] = advise(tuning=make_difference(0.005, -0.01, 0.015, p=0.5, detectable=0.02))
    assert (item.rule, item.more) == ("base_is_near", "prompting-and-few-shot")
    assert list_rules(tuning=make_difference(0.005, -0.01, 0.03, p=0.5, detectable=0.02)) == []


def test_tuning_that_makes_a_suite_worse_is_named() -> None:
    assert list_rules(tuning=make_difference(-0.1, -0.15, -0.05)) == ["tuning_forgets"]
    assert list_rules(tuning=make_difference(-0.1, -0.25, 0.05, p=0.3)) == []


def test_a_suite_that_is_forgotten_asks_for_replay() -> None:
    values = {
        "metric": "accuracy", "before": 0.9, "after": 0.7, "difference": -0.2,
        "interval": [-0.3, -0.1], "p_adjusted": 0.001,
    }  # fmt: skip
    worse = make_difference(-0.1, -0.15, -0.05)
    [item] = advise(
        tuning=worse, forgetting={"old": {"intent": values}}, augmented={"replay": {"share": 0.2}}
    )
    assert (item.rule, item.more) == ("forgets_earlier_rounds", "continual-learning")
    assert item.finding.en == (
        "Intent accuracy on test records of earlier rounds was 90.0% with the base and is 70.0% "
        "now."
    )
    assert "augment.replay (now 0.2)" in item.action.en and "现为 0.2" in item.action.zh
    chance = {"old": {"intent": {**values, "p_adjusted": 0.3}}}
    assert list_rules(tuning=worse, forgetting=chance) == ["tuning_forgets"]


def test_a_base_that_is_the_last_model_may_stay_as_it_is() -> None:
    same = make_difference(0.005, -0.01, 0.015, p=0.5, detectable=0.02)
    assert list_rules(tuning=same, forgetting={"old": {}, "new": {}}) == []


@pytest.mark.parametrize(("high", "rules"), [(0.01, ["few_shot_is_enough"]), (0.1, [])])
def test_a_base_with_examples_may_be_enough(high: float, rules: list[str]) -> None:
    values = {"metric": "accuracy", "difference": -0.02, "interval": [-0.06, high]}
    assert list_rules(few_shot={"intent-4-shot": values}) == rules


def test_a_proven_loss_out_of_the_domain_asks_for_retrieval() -> None:
    def make_domains(p: float) -> dict[str, Any]:
        gap = {
            "metric": "accuracy",
            "in_domain": {"value": 0.95},
            "out_of_domain": {"value": 0.6},
            "interval": [0.2, 0.5],
            "p_adjusted": p,
        }
        return {"merged": {"intent": gap}}

    [item] = advise(domains=make_domains(0.001))
    assert (item.rule, item.more) == ("worse_out_of_domain", "retrieval")
    assert item.finding.en == "Intent: 95.0% in the domain, 60.0% out of it."
    assert list_rules(domains=make_domains(0.2)) == []


def test_facts_that_are_lost_in_a_long_prompt_speak_against_retrieval() -> None:
    suites = {"retrieval": make_suite(interval=(0.1, 0.5))}
    assert list_rules(suites) == ["facts_lost_in_prompt"]
    assert list_rules({"retrieval": make_suite(interval=(0.5, 0.9))}) == []


def test_answers_that_change_with_the_question_ask_for_perturbed_rows() -> None:
    def make_robustness(high: float) -> dict[str, Any]:
        overall = {"agreement": 0.8, "interval": [0.7, high]}
        kinds = {"case": {"agreement": 0.6}, "typos": {"agreement": 0.9}}
        return {"intent": make_suite(robustness={"overall": overall, **kinds})}

    [item] = advise(make_robustness(0.85))
    assert item.rule == "answers_not_robust"
    assert "80% of the answers stay when the question is perturbed, 60% for case" in item.finding.en
    assert list_rules(make_robustness(0.95)) == []


@pytest.mark.parametrize(
    ("method", "interval", "p", "rules"),
    [
        ("nf4", (-0.09, -0.01), 0.01, ["quantization_costs"]),
        ("nf4", (-0.09, 0.01), 0.2, []),
        ("int8", (-0.01, 0.01), 0.9, ["smaller_form_possible"]),
        ("int8", (-0.05, 0.01), 0.9, []),
        ("int8", (-0.09, -0.01), 0.01, []),
    ],
)
def test_quantization_asks_for_more_or_fewer_bits(
    method: str, interval: tuple[float, float], p: float, rules: list[str]
) -> None:
    quantization = make_difference(sum(interval) / 2, *interval, p=p)
    assert list_rules(method=method, quantization=quantization) == rules
