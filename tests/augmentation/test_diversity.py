"""Variety measured as the papers and sacrebleu measure it."""

import pytest
from sacrebleu.metrics import BLEU

from lockstep.augmentation import diversity


def test_distinct_counts_different_words_and_pairs() -> None:
    facts = diversity.describe(["a b a b", "A b c"])
    assert facts["distinct_1"] == pytest.approx(3 / 7, abs=1e-4)
    assert facts["distinct_2"] == pytest.approx(3 / 5, abs=1e-4)
    assert diversity.describe(["退款", "退货"])["distinct_1"] == 0.75


def test_self_bleu_is_each_text_against_the_others() -> None:
    texts = ["the cat sat on the mat", "the cat sat on a chair", "nobody was here today at all"]
    bleu = BLEU(tokenize="none", effective_order=True)
    scores = [
        bleu.sentence_score(text, [other for other in texts if other != text]).score
        for text in texts
    ]
    assert diversity.describe(texts)["self_bleu"] == pytest.approx(sum(scores) / 3, abs=0.01)
    assert diversity.describe(["same words here"] * 4)["self_bleu"] == 100
    assert diversity.describe(["alone"])["self_bleu"] == 0
    assert diversity.describe([]) == {"distinct_1": 0, "distinct_2": 0, "self_bleu": 0}
