"""Diversity is measured as in the papers and by sacrebleu."""

import pytest
from sacrebleu.metrics import BLEU

from lockstep.augmentation.augmentation_card import measure_diversity


def test_distinct_n_is_the_share_of_different_words_and_bigrams() -> None:
    diversity = measure_diversity(["a b a b", "A b c"])
    assert diversity["distinct_1"] == pytest.approx(3 / 7, abs=1e-4)
    assert diversity["distinct_2"] == pytest.approx(3 / 5, abs=1e-4)
    assert measure_diversity(["退款", "退货"])["distinct_1"] == 0.75


def test_self_bleu_compares_each_text_with_the_others() -> None:
    texts = ["the cat sat on the mat", "the cat sat on a chair", "nobody was here today at all"]
    bleu = BLEU(tokenize="none", effective_order=True)
    scores = [
        bleu.sentence_score(text, [other for other in texts if other != text]).score
        for text in texts
    ]
    assert measure_diversity(texts)["self_bleu"] == pytest.approx(sum(scores) / 3, abs=0.01)
    assert measure_diversity(["same words here"] * 4)["self_bleu"] == 100
    assert measure_diversity(["alone"])["self_bleu"] == 0
    assert measure_diversity([]) == {"distinct_1": 0, "distinct_2": 0, "self_bleu": 0}
