"""Case, width, blanks and the punctuation of prose do not count; words, numbers and signs do."""

import itertools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep import segmentation
from lockstep.data.normalized_texts import fold, normalize_texts


def make_key(text: str) -> bytes:
    return normalize_texts([text]).make_keys()[0]


@pytest.mark.parametrize(
    "texts",
    [
        ("Hi  there!", "hi there", "Ｈi, there", "\thi\n“there” …", "(hi) there?!"),
        ("What is C++?", "what is c++"),
        ("退款！订单 12", "退款订单12", "「退款」，订单１２"),
        ("the well-known shop", "The well known shop"),
        ("caf\u00e9", "Cafe\u0301"),
        ("5 - 3", "5  -  3", "5-3", "5 \u2212 3"),
        ("ﾀｸｼｰ", "タクシー"),
    ],
)
def test_texts_that_say_the_same_have_one_key(texts: tuple[str, ...]) -> None:
    assert len({make_key(text) for text in texts}) == 1


@pytest.mark.parametrize(
    "texts",
    [
        ("C", "C++", "C#", "F#"),
        ("a<b", "a>b", "a=b", "a b", "a != b", "a ≤ b"),
        ("5", "-5", "50", "5%", "$5", "€5", "5²", "52"),
        ("3.5", "35", "3 5", "3:5", "3,5"),
        ("5 - 3", "5 + 3", "5 × 3", "5 / 3", "5 * 3"),
        ("(2+3)*4", "2+(3*4)", "[2+3]*4"),
        ("12 3", "1 23", "123"),
        ("a b", "ab", "a_b", "a/b", "a&b"),
        ("ok", "ok 😀", "ok 😢"),
        ("שלום", "שָׁלוֹם"),
        ("कमल", "कमाल"),
    ],
)
def test_texts_that_mean_different_things_have_different_keys(texts: tuple[str, ...]) -> None:
    keys = normalize_texts(texts).make_keys()
    assert len({*keys}) == len(texts)


def test_a_text_of_punctuation_alone_has_an_empty_key() -> None:
    assert normalize_texts(["?", "…", "", "\u0301"]).make_keys() == [b""] * 4


PROSE = st.text(st.sampled_from("abÄßяж 价你กข 19,.;!?「」\u0301"), max_size=20)


@given(PROSE)
def test_case_width_and_blanks_do_not_change_the_key(text: str) -> None:
    assert make_key(text.upper()) == make_key(text)
    assert make_key(text.replace(" ", " \n\u3000")) == make_key(text)
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    assert make_key(wide) == make_key(text)
    assert make_key(unicodedata.normalize("NFD", text)) == make_key(text)


@given(PROSE, st.sampled_from("0123456789+<=>%#$/@&*"), st.sampled_from("0123456789+<=>%#$/@&*"))
def test_another_digit_or_sign_changes_the_key(text: str, sign: str, other: str) -> None:
    same_key = make_key(f"{text} {sign}") == make_key(f"{text} {other}")
    assert same_key == (sign == other)
    assert make_key(f"{text} {sign}") != make_key(text)


@given(st.lists(PROSE, max_size=5))
def test_a_key_does_not_depend_on_the_other_texts(texts: list[str]) -> None:
    assert normalize_texts(texts).make_keys() == [make_key(text) for text in texts]


@settings(deadline=None)  # the first Chinese text loads the dictionary
@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_words_consist_of_whole_units(texts: list[str]) -> None:
    """The search for contamination relies on it: as many words are at least as many units."""
    normalized = normalize_texts(texts).drop_signs()
    bounds = itertools.pairwise(normalized.offsets.tolist())
    for text, (begin, end) in zip(texts, bounds, strict=True):
        starts = normalized.starts_word[begin:end].tolist()
        positions = {position for position, is_start in enumerate(starts) if is_start}
        lengths = [len(word) for word in segmentation.split_words(fold(text))]
        assert sum(lengths) == end - begin
        assert {*itertools.accumulate(lengths[:-1], initial=0)} <= positions | {0}


def test_numbers_and_signs_of_texts_are_hashed_in_their_order() -> None:
    texts = ["1 + 23", "a 1 and 23", "12 3", "23 1", "1 - 23", "none", "3.5", "35"]
    normalized = normalize_texts(texts)
    numbers = normalized.hash_numbers().tolist()
    assert numbers[0] == numbers[1] == numbers[4]
    assert numbers[5] == 0
    assert len({*numbers}) == 6
    signs = normalized.hash_signs().tolist()
    assert [sign == 0 for sign in signs] == [False, True, True, True, False, True, False, True]
    assert signs[0] != signs[4]
