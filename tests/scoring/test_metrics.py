import math

import pytest

from stages.scoring import metrics


def test_accuracy_is_that_of_scikit_learns_documentation():
    got = metrics.choice(list("0123"), list("0213"))  # sklearn.metrics.accuracy_score, Examples
    assert got["accuracy"] == 0.5


def test_macro_f1_is_that_of_scikit_learns_documentation():
    got = metrics.choice(list("012012"), list("021001"))  # sklearn.metrics.f1_score, Examples
    assert got["macro_f1"] == pytest.approx(0.267, abs=5e-4)


def test_a_label_that_is_only_chosen_lowers_macro_f1():
    # F1 of a: 2 / 3, of b: 0
    assert metrics.choice(["a", "a"], ["a", "b"])["macro_f1"] == pytest.approx(1 / 3)


def test_confusion_counts_pairs():
    got = metrics.confusion(["b", "a", "a", "a"], ["b", "a", "b", "b"])
    assert got == {"a": {"a": 1, "b": 2}, "b": {"b": 1}}


def test_json_is_compared_by_value():
    want = ['{"a": 1, "b": [2]}', '{"a": 1}', '{"a": 1}', '{"a": 1}']
    have = ['{"b":[2],"a":1}', '{"a": 2}', '{"a": 1', "[" * 100_000]
    assert metrics.json_object(want, have) == {"exact_match": 0.25, "valid": 0.5}


def test_each_answer_scores_what_the_suite_averages():
    want, have = ['{"a": 1}', "{}", "1"], ['{"a":1.0}', "[]", "1 "]
    scores = [metrics.same_json(a, b) for a, b in zip(want, have, strict=True)]
    assert scores == [1.0, 0.0, 1.0]
    assert metrics.json_object(want, have)["exact_match"] == pytest.approx(2 / 3)
    assert [metrics.same("1", "1"), metrics.same("1", "1.0")] == [1.0, 0.0]  # labels, not numbers


def test_an_answer_that_is_no_json_never_matches():
    assert metrics.json_object(["x"], ['{"a": 1}'])["exact_match"] == 0.0
    assert metrics.json_object(["x", "x"], ["y", "x"])["exact_match"] == 0.0


def test_json_has_neither_nan_nor_numbers_that_are_truth_values():
    assert metrics.json_object(["NaN"], ["NaN"]) == {"exact_match": 0.0, "valid": 0.0}
    assert metrics.same_json('{"a": [1]}', '{"a": [true]}') == 0.0
    assert metrics.same_json('{"a": [1]}', '{"a": [1.0]}') == 1.0


def test_rouge_l_of_the_example_in_the_package():
    # rouge-score's README; longest common subsequence "the quick brown jumps the": 5 of 9 and 8
    reference = "The quick brown fox jumps over the lazy dog"
    got = metrics.text([reference], ["The quick brown dog jumps on the log."])
    assert got["rouge_l"] == pytest.approx(2 * 5 / (9 + 8))


def test_rouge_l_of_english_is_the_packages_own():
    from rouge_score.rouge_scorer import RougeScorer

    pairs = [("Your refund, 42 euros, is on its way.", "The refund of 42 euros is on the way!")]
    want = [RougeScorer(["rougeL"]).score(a, b)["rougeL"].fmeasure for a, b in pairs]
    got = metrics.text([a for a, _ in pairs], [b for _, b in pairs])["rouge_l"]
    assert got == pytest.approx(want[0])


def test_rouge_l_takes_chinese_by_characters():
    # 取消 and 订单 of 取消这个订单: 4 of 4 and 6
    assert metrics.text(["取消订单"], ["取消这个订单"])["rouge_l"] == pytest.approx(0.8)
    assert metrics.text(["取消order 42"], ["order"])["rouge_l"] == pytest.approx(2 / (4 + 1))


def test_bleu_takes_chinese_by_characters():
    # four characters of six, all n-grams right: only the brevity penalty exp(1 - 6 / 4)
    got = metrics.text(["我要取消订单"], ["我要取消"])["bleu"]
    assert got == pytest.approx(100 * math.exp(-0.5))


def test_bleu_of_english_is_that_of_sacrebleus_default():
    import sacrebleu

    want = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
    have = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
    score = sacrebleu.corpus_bleu(have, [want]).score
    assert 0 < score < 100
    assert metrics.text(want, have)["bleu"] == pytest.approx(score)


def test_equal_texts_are_perfect():
    same = ["Your order is on its way.", "订单已经取消了。"]
    assert metrics.text(same, same) == {
        "rouge_l": 1.0,
        "bleu": pytest.approx(100.0),
        "exact_match": 1.0,
    }


def test_empty_answers_score_nothing():
    got = metrics.text(["Your order is on its way."], [""])
    assert got == {"rouge_l": 0.0, "bleu": 0.0, "exact_match": 0.0}
