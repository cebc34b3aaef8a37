"""Single answers: known values from the libraries and the papers."""

import pytest

from lockstep.metrics import json_answers, scores


def test_json_is_compared_by_value():
    assert scores.json_match('{"a": 1, "b": [2]}', '{"b":[2],"a":1.0}') == 1.0
    assert scores.json_match('{"a": 1}', '{"a": 2}') == 0.0
    assert scores.json_match("1", "1 ") == 1.0
    assert scores.exact_match("1", "1.0") == 0.0  # labels, not numbers


@pytest.mark.parametrize("broken", ["x", '{"a": 1', "[" * 100_000, "NaN", ""])
def test_what_is_no_json_never_matches(broken: str):
    assert scores.json_match(broken, broken) == scores.valid_json("1", broken) == 0.0
    assert not json_answers.count_leaves(broken)


def test_no_number_is_a_truth_value():
    assert scores.json_match('{"a": [1]}', '{"a": [true]}') == 0.0
    assert json_answers.count_leaves('{"a": 1}') != json_answers.count_leaves('{"a": true}')
    assert json_answers.count_leaves('{"a": 1}') == json_answers.count_leaves('{"a": 1.0}')


def test_slots_are_the_values_that_hold_no_other():
    found = json_answers.count_leaves('{"a": {"b": [1, "x"]}, "c": {}}')
    assert {path for path, _ in found} == {"/a/b/0", "/a/b/1", "/c"}


def test_rouge_of_the_example_in_the_package():
    # rouge-score's README; longest common subsequence "the quick brown jumps the": 5 of 9 and 8
    reference, answer = (
        "The quick brown fox jumps over the lazy dog",
        "The quick brown dog jumps on the log.",
    )
    assert scores.rouge_l(reference, answer) == pytest.approx(2 * 5 / (9 + 8))


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_rouge_of_english_is_the_packages_own(kind: str):
    from rouge_score.rouge_scorer import RougeScorer

    pair = "Your refund, 42 euros, is on its way.", "The refund of 42 euros is on the way!"
    ours = {"rouge1": scores.rouge_1, "rouge2": scores.rouge_2, "rougeL": scores.rouge_l}[kind]
    assert ours(*pair) == pytest.approx(RougeScorer([kind]).score(*pair)[kind].fmeasure)


def test_rouge_takes_chinese_by_characters():
    # 取消 and 订单 of 取消这个订单: 4 of 4 and 6
    assert scores.rouge_l("取消订单", "取消这个订单") == pytest.approx(0.8)
    assert scores.rouge_l("取消order 42", "order") == pytest.approx(2 / (4 + 1))


def test_token_f1_is_that_of_squad():
    # four of the five words expected, four of the five given
    assert scores.token_f1("the cat sat on mats", "the dog sat on mats") == pytest.approx(0.8)
    assert scores.token_f1("a a b", "a b b") == pytest.approx(2 / 3)  # as multisets
    assert (scores.token_f1("", ""), scores.token_f1("a", ""), scores.token_f1("", "a")) == (
        1,
        0,
        0,
    )


def test_meteor_is_nltks_of_words_and_stems():
    # one chunk of 3 matches: penalty 0.5 × (1 / 3)³, of equal precision and recall
    assert scores.meteor("cancel the orders", "cancelled the order") == pytest.approx(1 - 0.5 / 27)
    assert scores.meteor("取消订单", "取消订单") == pytest.approx(1 - 0.5 / 64)
    assert scores.meteor("yes", "no") == 0.0


@pytest.mark.parametrize(("text", "number"), [("1e3", True), ("nan", False), ("x", False)])
def test_what_a_number_is(text: str, number: bool):
    assert scores.is_number(text) is number
