"""The arrays contain the n-grams that plain Python finds."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import ngrams
from lockstep.data.ngrams import NGrams
from lockstep.data.normalized_texts import normalize_texts

TEXTS = st.lists(
    st.text(st.characters(categories=["L", "Zs", "Po", "Nd"]) | st.sampled_from("ab 价你"))
)


def split_hashes(grams: NGrams) -> list[list[int]]:
    offsets = grams.offsets.tolist()
    return [grams.hashes[begin:end].tolist() for begin, end in itertools.pairwise(offsets)]


def hash_character_ngrams(texts: list[str], n: int) -> NGrams:
    return ngrams.hash_character_ngrams(normalize_texts(texts), n)


def hash_unit_ngrams(texts: list[str], n: int) -> list[list[int]]:
    return split_hashes(ngrams.hash_unit_ngrams(normalize_texts(texts).drop_signs(), n))


def test_a_unit_is_a_word_or_one_character_of_a_script_without_spaces() -> None:
    texts = ["Hello, big world", "我要退款", "a价b", "", "हिन्दी में", "ยาก", "3.5"]
    assert [len(text) for text in hash_unit_ngrams(texts, 1)] == [3, 4, 3, 0, 2, 3, 2]


@given(TEXTS, st.integers(1, 6))
def test_character_ngrams_do_not_depend_on_the_other_texts(texts: list[str], n: int) -> None:
    normalized = normalize_texts(texts)
    together = split_hashes(ngrams.hash_character_ngrams(normalized, n))
    lengths = np.diff(normalized.offsets).tolist()
    for text, length, hashes in zip(texts, lengths, together, strict=True):
        assert len(hashes) == (max(1, length - n + 1) if length else 0)
        assert [hashes] == split_hashes(hash_character_ngrams([text], n))


@given(TEXTS, st.integers(1, 4))
def test_unit_ngrams_depend_only_on_the_words(texts: list[str], n: int) -> None:
    sentences = ["x " + text + " . tail" for text in texts]
    for sentence, hashes in zip(sentences, hash_unit_ngrams(sentences, n), strict=True):
        respelled = sentence.replace(" ", "  ").upper() if sentence.isascii() else sentence
        assert [hashes] == hash_unit_ngrams([respelled], n)
        (longer,), (words,) = (
            hash_unit_ngrams([sentence + " tail"], 1),
            hash_unit_ngrams([sentence], 1),
        )
        assert len(set(longer)) <= 1 + len(words)


def test_a_text_with_fewer_words_has_no_ngram() -> None:
    assert hash_unit_ngrams(["one two", "one two three"], 3) == [
        [],
        *hash_unit_ngrams(["ONE, two three!"], 3),
    ]


@given(TEXTS, TEXTS)
def test_unique_and_shared_ngrams_equal_those_of_python_sets(
    texts: list[str], others: list[str]
) -> None:
    count = min(len(texts), len(others))
    first, second = (
        hash_character_ngrams(texts[:count], 2),
        hash_character_ngrams(others[:count], 2),
    )
    pairs = zip(split_hashes(first), split_hashes(second), strict=True)
    expected = [len({*a} & {*b}) for a, b in pairs]
    unique = ngrams.deduplicate_ngrams(first)
    assert ngrams.count_shared(unique, ngrams.deduplicate_ngrams(second)).tolist() == expected
    assert [len(hashes) for hashes in split_hashes(unique)] == [
        len({*hashes}) for hashes in split_hashes(first)
    ]


@given(TEXTS, st.data())
def test_selected_and_concatenated_texts_keep_their_ngrams(
    texts: list[str], data: st.DataObject
) -> None:
    grams = hash_character_ngrams(texts, 2)
    indices = data.draw(st.lists(st.integers(0, len(texts) - 1)) if texts else st.just([]))
    expected = [split_hashes(grams)[index] for index in indices]
    assert split_hashes(grams.select(np.array(indices, np.int64))) == expected
    assert split_hashes(ngrams.concatenate_ngrams([grams, grams])) == split_hashes(grams) * 2
