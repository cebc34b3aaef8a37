"""The arrays hold the n-grams that plain Python finds."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import shingles

TEXTS = st.lists(
    st.text(st.characters(categories=["L", "Zs", "Po", "Nd"]) | st.sampled_from("ab 价你"))
)


def parts(grams: shingles.Grams) -> list[list[int]]:
    ends = grams.offsets.tolist()
    return [grams.hashes[a:b].tolist() for a, b in itertools.pairwise(ends)]


def test_case_width_punctuation_blanks_and_digits_do_not_count() -> None:
    texts = shingles.normalize(["Refund order 12!", "ｒｅｆｕｎｄ-ORDER１２？", "…", "退款 A1"])
    begin = texts.offsets.tolist()
    words = ["".join(map(chr, texts.codes[a:b])) for a, b in itertools.pairwise(begin)]
    assert words == ["refundorder00", "refundorder00", "", "退款a0"]


def test_a_word_is_a_run_of_letters_or_one_chinese_character() -> None:
    grams = shingles.word_grams(shingles.normalize(["Hello, big world", "我要退款", "a价b", ""]), 1)
    assert [len(part) for part in parts(grams)] == [3, 4, 3, 0]


@given(TEXTS, st.integers(1, 6))
def test_character_grams_are_those_of_each_text(texts: list[str], n: int) -> None:
    normal = shingles.normalize(texts)
    together = parts(shingles.character_grams(normal, n))
    begin = normal.offsets.tolist()
    for number, text in enumerate(texts):
        length = begin[number + 1] - begin[number]
        assert len(together[number]) == (max(1, length - n + 1) if length else 0)
        assert together[number] == parts(shingles.character_grams(shingles.normalize([text]), n))[0]


@given(TEXTS, st.integers(1, 4))
def test_word_grams_are_equal_where_the_words_are(texts: list[str], n: int) -> None:
    joined = ["x " + text + " . tail" for text in texts]
    together = parts(shingles.word_grams(shingles.normalize(joined), n))
    for text, grams in zip(joined, together, strict=True):
        spaced = text.replace(" ", "  ").upper() if text.isascii() else text
        assert parts(shingles.word_grams(shingles.normalize([spaced]), n))[0] == grams
        assert len(set(parts(shingles.word_grams(shingles.normalize([text + " tail"]), 1))[0])) <= (
            1 + len(parts(shingles.word_grams(shingles.normalize([text]), 1))[0])
        )


def test_a_text_with_fewer_words_has_no_gram() -> None:
    assert parts(shingles.word_grams(shingles.normalize(["one two", "one two three"]), 3)) == [
        [], parts(shingles.word_grams(shingles.normalize(["ONE, two three!"]), 3))[0],
    ]  # fmt: skip


@given(TEXTS, TEXTS)
def test_sets_and_what_they_share_are_those_of_plain_python(
    ours: list[str], theirs: list[str]
) -> None:
    count = min(len(ours), len(theirs))
    one, other = (
        shingles.character_grams(shingles.normalize(texts[:count]), 2) for texts in (ours, theirs)
    )
    wanted = [len({*a} & {*b}) for a, b in zip(parts(one), parts(other), strict=True)]
    assert shingles.shared(shingles.sets(one), shingles.sets(other)).tolist() == wanted
    assert [len(part) for part in parts(shingles.sets(one))] == [len({*p}) for p in parts(one)]


@given(TEXTS, st.data())
def test_some_texts_have_the_grams_that_they_have_among_all(
    texts: list[str], data: st.DataObject
) -> None:
    grams = shingles.character_grams(shingles.normalize(texts), 2)
    places = data.draw(st.lists(st.integers(0, len(texts) - 1)) if texts else st.just([]))
    wanted = [parts(grams)[place] for place in places]
    assert parts(grams.of(np.array(places, np.int64))) == wanted
    assert parts(shingles.joined([grams, grams])) == parts(grams) * 2
