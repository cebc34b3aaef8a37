"""Scores of single answers: known values from libraries and papers."""

import pytest

from lockstep.metrics import json_answers, scores


def test_json_is_compared_by_value() -> None:
    assert scores.json_match('{"a": 1, "b": [2]}', '{"b":[2],"a":1.0}') == 1.0
    assert scores.json_match('{"a": 1}', '{"a": 2}') == 0.0
    assert scores.json_match("1", "1 ") == 1.0
    assert scores.exact_match("1", "1.0") == 0.0  # labels, not numbers


@pytest.mark.parametrize("broken", ["x", '{"a": 1', "[" * 100_000, "NaN", ""])
def test_a_text_that_is_not_json_never_matches(broken: str) -> None:
    assert scores.json_match(broken, broken) == scores.valid_json("1", broken) == 0.0
    assert not json_answers.count_leaves(broken)


def test_a_number_does_not_equal_a_boolean() -> None:
    assert scores.json_match('{"a": [1]}', '{"a": [true]}') == 0.0
    assert json_answers.count_leaves('{"a": 1}') != json_answers.count_leaves('{"a": true}')
    assert json_answers.count_leaves('{"a": 1}') == json_answers.count_leaves('{"a": 1.0}')


def test_leaves_are_the_values_without_children() -> None:
    leaves = json_answers.count_leaves('{"a": {"b": [1, "x"]}, "c": {}}')
    assert {path for path, _ in leaves} == {"/a/b/0", "/a/b/1", "/c"}


def test_rouge_equals_the_example_in_its_documentation() -> None:
    # rouge-score's README; longest common subsequence "the quick brown jumps the": 5 of 9 and 8
    reference, prediction = (
        "The quick brown fox jumps over the lazy dog",
        "The quick brown dog jumps on the log.",
    )
    assert scores.rouge_l(reference, prediction) == pytest.approx(2 * 5 / (9 + 8))


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_rouge_of_english_equals_the_rouge_score_package(kind: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    pair = "Your refund, 42 euros, is on its way.", "The refund of 42 euros is on the way!"
    score = {"rouge1": scores.rouge_1, "rouge2": scores.rouge_2, "rougeL": scores.rouge_l}[kind]
    assert score(*pair) == pytest.approx(RougeScorer([kind]).score(*pair)[kind].fmeasure)


def test_rouge_splits_chinese_into_characters() -> None:
    # 取消 and 订单 of 取消这个订单: 4 characters of 4 and of 6
    assert scores.rouge_l("取消订单", "取消这个订单") == pytest.approx(0.8)
    assert scores.rouge_l("取消order 42", "order") == pytest.approx(2 / (4 + 1))


@pytest.mark.parametrize(
    ("reference", "prediction"),
    [
        ("हिन्दी में", "हिनदी में"),
        ("தமிழ் மொழி", "தமிழு மொழி"),
        ("السَّلَامُ عَلَيْكُمْ", "السِّلَامُ عَلَيْكُمْ"),
        ("วันนี้", "วันนั้น"),
    ],
)
def test_words_that_differ_in_a_mark_are_different_words(reference: str, prediction: str) -> None:
    """Each text has two words, of which one is in the other text."""
    assert scores.rouge_1(reference, prediction) == pytest.approx(0.5)
    assert scores.token_f1(reference, prediction) == pytest.approx(0.5)
    assert 0 < scores.meteor(reference, prediction) < scores.meteor(reference, reference)


def test_decomposed_letters_equal_composed_ones() -> None:
    assert scores.rouge_1("caf\u00e9", "cafe\u0301") == 1.0
    assert scores.split_words("Cafe\u0301") == ["caf\u00e9"]


def test_token_f1_is_computed_as_in_squad() -> None:
    # four of the five words of the reference, four of the five of the prediction
    assert scores.token_f1("the cat sat on mats", "the dog sat on mats") == pytest.approx(0.8)
    assert scores.token_f1("a a b", "a b b") == pytest.approx(2 / 3)  # as multisets
    assert (scores.token_f1("", ""), scores.token_f1("a", ""), scores.token_f1("", "a")) == (
        1,
        0,
        0,
    )


def test_meteor_matches_words_and_stems() -> None:
    # one chunk of 3 matches: penalty 0.5 × (1 / 3)³; precision and recall are 1
    assert scores.meteor("cancel the orders", "cancelled the order") == pytest.approx(1 - 0.5 / 27)
    assert scores.meteor("取消订单", "取消订单") == pytest.approx(1 - 0.5 / 64)
    assert scores.meteor("yes", "no") == 0.0


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e3", True), (" -0.5\n", True), ("nan", False), ("inf", False), ("x", False), ("", False)],
)
def test_only_finite_numbers_count_as_numbers(text: str, number: bool) -> None:
    assert scores.is_number(text) is number


@pytest.mark.parametrize(
    ("reference", "prediction", "score"),
    [("3", "3.0", 1), ("3", "2", 1 / 2), ("-1", " 2\n", 1 / 4), ("3", "three", 0), ("3", "nan", 0)],
)
def test_closeness_falls_with_the_absolute_error(
    reference: str, prediction: str, score: float
) -> None:
    assert scores.closeness(reference, prediction) == pytest.approx(score)
    assert scores.valid_number(reference, prediction) == float(score > 0)
